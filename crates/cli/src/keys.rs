//! `ferromcp keys`.

use ferromcp_tenancy::{KEY_RANDOM_BYTES, TenantId, new_admin_key, new_key};

use crate::args::NewKey;
use crate::exit::Failure;

/// Makes a key. What is needed to use it is on standard output, all else on standard error.
pub(crate) fn new(args: &NewKey) -> Result<(), Failure> {
    let Some(tenant) = &args.tenant else {
        return admin(args.json);
    };
    let tenant = TenantId::new(tenant).map_err(|e| Failure::Usage(format!("{tenant}: {e}")))?;
    let mut random = [0; KEY_RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|e| Failure::other("the system gives no random numbers", e))?;
    let made = new_key(&tenant, &random);
    if args.json {
        let shown = serde_json::json!({
            "tenant": tenant.as_str(),
            "key": made.key,
            "hash": made.hash.to_string(),
        });
        println!("{shown}");
        return Ok(());
    }
    println!("{}", made.key);
    println!("{}", made.hash);
    eprintln!("The first line is the key: shown once, kept nowhere. Clients send it as");
    eprintln!("  Authorization: Bearer KEY        or        X-Api-Key: KEY");
    eprintln!("The second line goes into the configuration:");
    eprintln!("  tenants:\n    {tenant}:\n      keys: [\"{}\"]", made.hash);
    Ok(())
}

fn admin(json: bool) -> Result<(), Failure> {
    let mut random = [0; KEY_RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|e| Failure::other("the system gives no random numbers", e))?;
    let made = new_admin_key(&random);
    if json {
        println!(
            "{}",
            serde_json::json!({ "key": made.key, "hash": made.hash.to_string() })
        );
        return Ok(());
    }
    println!("{}", made.key);
    println!("{}", made.hash);
    eprintln!(
        "The first line opens the admin API: shown once, kept nowhere (FERROMCP_ADMIN_KEY for `ferromcp tenants`)."
    );
    eprintln!("The second line goes into the configuration:");
    eprintln!("  admin:\n    keys: [\"{}\"]\n    store: ./state", made.hash);
    Ok(())
}
