//! `ferromcp keys`.

use ferromcp_tenancy::{KEY_RANDOM_BYTES, TenantId, new_key};

use crate::args::NewKey;
use crate::exit::Failure;

/// Makes a key. What is needed to use it is on standard output, all else on standard error.
pub(crate) fn new(args: &NewKey) -> Result<(), Failure> {
    let tenant = TenantId::new(&args.tenant).map_err(|e| Failure::Usage(format!("{}: {e}", args.tenant)))?;
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
