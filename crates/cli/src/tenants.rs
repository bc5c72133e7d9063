//! `ferromcp tenants`: a thin client of the admin API.

use http::{Method, header};
use serde_json::Value;
use url::Url;

use crate::args::{AdminApi, Tenants, TenantsCommand};
use crate::client::{arguments, remote, run_async, trust};
use crate::exit::Failure;
use crate::files::print;

pub(crate) fn run(args: &Tenants) -> Result<(), Failure> {
    let mut body = String::new();
    let (method, path) = match &args.what {
        TenantsCommand::List => (Method::GET, vec![]),
        TenantsCommand::Show { id } => (Method::GET, vec![id.as_str()]),
        TenantsCommand::Create { id, settings } => {
            let settings: Value = serde_json::from_str(&arguments(settings.as_deref())?).unwrap_or_default();
            let Value::Object(mut settings) = settings else {
                return Err(Failure::Usage("the settings must be a JSON object".into()));
            };
            settings.insert("id".into(), id.as_str().into());
            body = Value::from(settings).to_string();
            (Method::POST, vec![])
        }
        TenantsCommand::Set { id, settings } => {
            body = arguments(Some(settings))?;
            (Method::PATCH, vec![id.as_str()])
        }
        TenantsCommand::Key { id } => (Method::POST, vec![id.as_str(), "keys"]),
        TenantsCommand::Suspend { id } => (Method::POST, vec![id.as_str(), "suspend"]),
        TenantsCommand::Resume { id } => (Method::POST, vec![id.as_str(), "resume"]),
        TenantsCommand::Delete { id } => (Method::DELETE, vec![id.as_str()]),
        TenantsCommand::Usage { id } => (Method::GET, vec![id.as_str(), "usage"]),
    };
    let path: Vec<&str> = ["tenants"].into_iter().chain(path).collect();
    exchange(&args.api, method, &path, body)
}

/// One request to the admin API; its answer is printed.
pub(crate) fn exchange(api: &AdminApi, method: Method, path: &[&str], body: String) -> Result<(), Failure> {
    let answer = asked(api, method, path, body)?;
    print(&format!(
        "{}\n",
        serde_json::to_string_pretty(&answer).unwrap_or_default()
    ))
}

/// One request to the admin API, and its answer.
pub(crate) fn asked(api: &AdminApi, method: Method, path: &[&str], body: String) -> Result<Value, Failure> {
    let Some(key) = &api.admin_key else {
        return Err(Failure::Usage(
            "no key of the admin API: set FERROMCP_ADMIN_KEY (`ferromcp keys new --admin` makes one)".into(),
        ));
    };
    let url = address(&api.admin, path)?;
    let headers = [(header::AUTHORIZATION, format!("Bearer {key}"))];
    let (status, answer) = run_async(remote::exchange(
        trust::system()?,
        method,
        &url,
        &headers,
        body.into(),
    ))?;
    if status.is_success() {
        return Ok(answer);
    }
    let mut text = remote::refusal(&url, status, &answer);
    for issue in answer["error"]["details"]["issues"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let (place, message) = (issue["pointer"].as_str(), issue["message"].as_str());
        text.push_str(&format!(
            "\n  {}: {}",
            place.unwrap_or_default(),
            message.unwrap_or_default()
        ));
    }
    Err(Failure::Other(text))
}

fn address(base: &str, path: &[&str]) -> Result<Url, Failure> {
    let bad = |why: &str| {
        Failure::Usage(format!(
            "--admin {base}: {why}; it looks like http://127.0.0.1:9090"
        ))
    };
    let mut url = Url::parse(base).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("the scheme must be http or https"));
    }
    url.path_segments_mut()
        .map_err(|()| bad("it has no path"))?
        .clear()
        .extend(["admin", "v1"])
        .extend(path);
    Ok(url)
}
