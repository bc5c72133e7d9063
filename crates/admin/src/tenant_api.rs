//! The operations on tenants.

use ferromcp_core::guard::{ScanLimits, scan_bytes};
use ferromcp_tenancy::{KEY_RANDOM_BYTES, TenantId, new_key};
use http::Method;
use http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH};
use serde_json::{Map, Value, json};

use crate::look::Query;
use crate::refusal::{Code, Refusal};
use crate::route::{Admin, Answer, Route};
use crate::serve::MAX_BODY;
use crate::tenants::{Changed, Edit, Expected, Held, parsed, unknown};

/// Members that are shown with a tenant and are not part of its document.
const SHOWN: [&str; 3] = ["id", "origin", "version"];
/// Deepest nesting of a body.
const MAX_DEPTH: usize = 20;
/// Shortest beginning of a hash that names a key, in hex digits.
const MIN_PREFIX: usize = 8;
/// Tenants on a page: by default, and at most.
const PAGE: (usize, usize) = (1000, 10_000);

/// What `If-Match` and `If-None-Match` ask for (RFC 9110, 13.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Precondition {
    matching: Option<Expected>,
    absent: bool,
}

impl Precondition {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let one = |name| {
            let mut all = headers.get_all(name).iter();
            match (all.next(), all.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => Ok(Some(value.to_str().unwrap_or_default().trim().to_owned())),
                _ => Err(bad_version()),
            }
        };
        let matching = match one(IF_MATCH)?.as_deref() {
            None => None,
            Some("*") => Some(Expected::Present),
            Some(tag) => {
                let digits = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                let version = digits
                    .and_then(|digits| digits.parse().ok())
                    .ok_or_else(bad_version)?;
                Some(Expected::Version(version))
            }
        };
        let absent = match one(IF_NONE_MATCH)?.as_deref() {
            None => false,
            Some("*") => true,
            Some(_) => return Err(bad_version()),
        };
        Ok(Self { matching, absent })
    }
}

fn bad_version() -> Refusal {
    Refusal::new(
        Code::InvalidRequest,
        "admin.version",
        "write `If-Match: \"VERSION\"` with the ETag of one version, `If-Match: *` for any, or `If-None-Match: *` for a new one",
    )
}

/// `GET /admin/v1/tenants?limit=&after=`
pub(crate) fn list(admin: &Admin, query: &str) -> Result<Answer, Refusal> {
    let query = Query::parse(query, &["limit", "after"])?;
    let limit = query.number("limit", PAGE.0, PAGE.1)?;
    let after = query.get("after").unwrap_or_default();
    let stored = admin.tenants.stored();
    let mut all: Vec<(&str, Value)> = stored
        .iter()
        .filter(|(id, _)| id.as_str() > after)
        .take(limit + 1)
        .map(|(id, held)| (id.as_str(), shown(id, held)))
        .collect();
    let rules = admin.tenants.rules();
    let of_file = rules.file().iter().filter(|tenant| tenant.id.as_str() > after);
    all.extend(of_file.map(|tenant| (tenant.id.as_str(), shown_file(&tenant.id, &tenant.document))));
    all.sort_unstable_by_key(|(id, _)| *id);
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|(id, _)| (*id).to_owned());
    let mut body = json!({ "tenants": all.into_iter().map(|(_, tenant)| tenant).collect::<Vec<_>>() });
    if let Some(next) = next {
        body["next_after"] = next.into();
    }
    Ok(Answer::ok(body))
}

/// `GET /admin/v1/tenants/{id}`
pub(crate) fn get(admin: &Admin, id: &str) -> Result<Answer, Refusal> {
    if let Some(held) = admin.tenants.stored().get(id) {
        return Ok(answer(200, id, held));
    }
    let tenant = admin.tenants.of_file(id).ok_or_else(|| unknown(id))?;
    Ok(Answer::ok(shown_file(id, &tenant.document)))
}

/// Carries out a change; the second value is the note of its record. `named` is the tenant, once it is known.
pub(crate) fn change(
    admin: &Admin,
    route: &Route,
    method: &Method,
    precondition: Precondition,
    body: &[u8],
    named: &mut Option<String>,
) -> Result<(Answer, String), Refusal> {
    match route {
        Route::Tenants => create(admin, body, named),
        Route::Tenant(id) if method == Method::PUT => put(admin, id, precondition, body),
        Route::Tenant(id) if method == Method::PATCH => patch(admin, id, precondition, body),
        Route::Tenant(id) => delete(admin, id, precondition, body),
        Route::Suspend(id) => suspend(admin, id, precondition, body, true),
        Route::Resume(id) => suspend(admin, id, precondition, body, false),
        Route::Keys(id) => make_key(admin, id, precondition, body),
        Route::Key(id, key) => drop_key(admin, id, key, precondition, body),
        _ => Err(Refusal::new(
            Code::Internal,
            "admin.internal",
            "this operation is not wired",
        )),
    }
}

fn create(admin: &Admin, body: &[u8], named: &mut Option<String>) -> Result<(Answer, String), Refusal> {
    let mut document = object(body)?;
    let id = match document.remove("id") {
        Some(Value::String(id)) => id,
        Some(_) => return Err(member("id", "the id must be a string")),
        None => {
            return Err(member(
                "id",
                "the id is missing: name the tenant, as in \"id\": \"acme\"",
            ));
        }
    };
    *named = Some(id.chars().take(64).collect());
    let version = split(&mut document, &id)?;
    if version.is_some() {
        return Err(member("version", "a tenant that is made has no version yet"));
    }
    let changed = admin
        .tenants
        .change(&admin.gateway, &id, Expected::Absent, |_| Ok(Edit::Put(document)))?;
    done(&id, 201, &changed)
}

fn put(
    admin: &Admin,
    id: &str,
    precondition: Precondition,
    body: &[u8],
) -> Result<(Answer, String), Refusal> {
    let mut document = object(body)?;
    let version = split(&mut document, id)?;
    let expected = expected(precondition, version)?;
    let changed = admin.tenants.change(&admin.gateway, id, expected, |before| {
        if before.is_some() && expected == Expected::Any {
            return Err(Refusal::new(
                Code::PreconditionRequired,
                "admin.version.required",
                "this would replace a tenant: send its ETag as `If-Match` (or \"version\" in the body), so that \
                 nobody's change is lost; `If-Match: *` replaces whatever is there",
            ));
        }
        Ok(Edit::Put(document))
    })?;
    done(id, if changed.created { 201 } else { 200 }, &changed)
}

fn patch(
    admin: &Admin,
    id: &str,
    precondition: Precondition,
    body: &[u8],
) -> Result<(Answer, String), Refusal> {
    let mut patch = object(body)?;
    let version = split(&mut patch, id)?;
    let expected = present(expected(precondition, version)?)?;
    let changed = admin.tenants.change(&admin.gateway, id, expected, |before| {
        let mut document = before.map(|held| held.document.clone()).unwrap_or_default();
        merge(&mut document, patch);
        Ok(Edit::Put(document))
    })?;
    done(id, 200, &changed)
}

fn delete(
    admin: &Admin,
    id: &str,
    precondition: Precondition,
    body: &[u8],
) -> Result<(Answer, String), Refusal> {
    nothing(body)?;
    let expected = present(expected(precondition, None)?)?;
    admin
        .tenants
        .change(&admin.gateway, id, expected, |_| Ok(Edit::Remove))?;
    Ok((
        Answer::ok(json!({ "id": id, "deleted": true })),
        "deleted".to_owned(),
    ))
}

fn suspend(
    admin: &Admin,
    id: &str,
    precondition: Precondition,
    body: &[u8],
    on: bool,
) -> Result<(Answer, String), Refusal> {
    nothing(body)?;
    let expected = present(expected(precondition, None)?)?;
    let changed = admin.tenants.change(&admin.gateway, id, expected, |before| {
        let mut document = before.map(|held| held.document.clone()).unwrap_or_default();
        if on {
            document.insert("suspended".into(), true.into());
        } else {
            document.remove("suspended");
        }
        Ok(Edit::Put(document))
    })?;
    let (answer, _) = done(id, 200, &changed)?;
    Ok((answer, if on { "suspended" } else { "resumed" }.to_owned()))
}

fn make_key(
    admin: &Admin,
    id: &str,
    precondition: Precondition,
    body: &[u8],
) -> Result<(Answer, String), Refusal> {
    let mut wanted = if body.is_empty() {
        Map::new()
    } else {
        object(body)?
    };
    let until = match wanted.remove("until") {
        None => None,
        Some(Value::String(until)) if humantime::parse_rfc3339(&until).is_ok() => Some(until),
        Some(_) => {
            return Err(member(
                "until",
                "write the time in UTC, as in \"2027-01-31T00:00:00Z\"",
            ));
        }
    };
    if let Some(key) = wanted.keys().next() {
        return Err(member(key, "unknown member: a key takes `until` only"));
    }
    let tenant = TenantId::new(id).map_err(|_| unknown(id))?;
    let mut random = [0; KEY_RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|_| {
        Refusal::new(
            Code::Internal,
            "admin.random",
            "the system gives no random numbers",
        )
    })?;
    let made = new_key(&tenant, &random);
    let hash = made.hash.to_string();
    let line = match &until {
        Some(until) => format!("{hash} until {until}"),
        None => hash.clone(),
    };
    let expected = present(expected(precondition, None)?)?;
    let changed = admin.tenants.change(&admin.gateway, id, expected, |before| {
        let mut document = before.map(|held| held.document.clone()).unwrap_or_default();
        match document.entry("keys").or_insert_with(|| json!([])) {
            Value::Array(keys) => keys.push(line.into()),
            other => *other = json!([line]),
        }
        Ok(Edit::Put(document))
    })?;
    let key_id = hash
        .trim_start_matches("sha256:")
        .get(..MIN_PREFIX)
        .unwrap_or_default()
        .to_owned();
    let mut body = json!({ "tenant": id, "id": key_id, "key": made.key, "hash": hash });
    let mut note = format!("key {key_id} made");
    if let Some(until) = until {
        note.push_str(&format!(", until {until}"));
        body["until"] = until.into();
    }
    let answer = Answer {
        status: 201,
        body,
        etag: changed.now.map(|held| held.version),
    };
    Ok((answer, note))
}

fn drop_key(
    admin: &Admin,
    id: &str,
    key: &str,
    precondition: Precondition,
    body: &[u8],
) -> Result<(Answer, String), Refusal> {
    nothing(body)?;
    let prefix = key.strip_prefix("sha256:").unwrap_or(key).to_ascii_lowercase();
    let hex = (MIN_PREFIX..=64).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "admin.key.id",
            format!("name the key by its hash, or by at least the first {MIN_PREFIX} hex digits of it"),
        ));
    }
    let named = |line: &Value| {
        let hash = line.as_str().and_then(|line| line.strip_prefix("sha256:"));
        hash.is_some_and(|hash| hash.to_ascii_lowercase().starts_with(&prefix))
    };
    let expected = present(expected(precondition, None)?)?;
    let changed = admin.tenants.change(&admin.gateway, id, expected, |before| {
        let mut document = before.map(|held| held.document.clone()).unwrap_or_default();
        let Some(Value::Array(keys)) = document.get_mut("keys") else {
            return Err(no_key(id));
        };
        match keys.iter().filter(|line| named(line)).count() {
            0 => return Err(no_key(id)),
            1 => keys.retain(|line| !named(line)),
            several => {
                return Err(Refusal::new(
                    Code::Conflict,
                    "admin.key.id",
                    format!("{several} keys begin so: give more digits"),
                ));
            }
        }
        if keys.is_empty() {
            document.remove("keys");
        }
        Ok(Edit::Put(document))
    })?;
    let (answer, _) = done(id, 200, &changed)?;
    Ok((answer, format!("key {} deleted", &prefix[..MIN_PREFIX])))
}

fn no_key(id: &str) -> Refusal {
    Refusal::new(
        Code::NotFound,
        "admin.key.id",
        format!("tenant {id} has no such key"),
    )
}

/// The body as an object, checked like every input: grammar, repeated members, sizes, depth.
fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    scanned(body)?;
    parsed(std::str::from_utf8(body).unwrap_or_default())
}

/// Checks a body without reading it.
pub(crate) fn scanned(body: &[u8]) -> Result<(), Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "admin.body",
            "the body is missing: send a JSON object",
        ));
    }
    let limits = ScanLimits {
        max_bytes: MAX_BODY,
        max_string: MAX_BODY,
        max_depth: MAX_DEPTH,
        ..ScanLimits::default()
    };
    match scan_bytes(body, &limits) {
        Ok(_) => Ok(()),
        Err(violation) => {
            Err(Refusal::new(Code::InvalidRequest, violation.rule, violation.message).at(&violation.pointer))
        }
    }
}

/// Operations without a body take `{}` for one, as some clients always send something.
fn nothing(body: &[u8]) -> Result<(), Refusal> {
    if body.is_empty() || object(body)?.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        Code::InvalidRequest,
        "admin.body",
        "this takes no body",
    ))
}

/// Takes out what is shown with a document and not part of it. Gives the version, if there is one.
fn split(document: &mut Map<String, Value>, id: &str) -> Result<Option<u64>, Refusal> {
    let mut version = None;
    for name in SHOWN {
        match (name, document.remove(name)) {
            (_, None) | ("origin", Some(Value::String(_))) => {}
            ("id", Some(Value::String(own))) if own == id => {}
            ("version", Some(Value::Number(number))) if number.is_u64() => version = number.as_u64(),
            ("id", _) => {
                return Err(member(
                    "id",
                    "the id is another than that of the path; a tenant keeps its id",
                ));
            }
            (name, _) => return Err(member(name, "leave it out, or send it as it was read")),
        }
    }
    Ok(version)
}

fn member(name: &str, message: &str) -> Refusal {
    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    Refusal::new(Code::InvalidArguments, "admin.document", message).at(&pointer)
}

fn expected(precondition: Precondition, version: Option<u64>) -> Result<Expected, Refusal> {
    match (precondition.matching, version, precondition.absent) {
        (None, None, false) => Ok(Expected::Any),
        (None, None, true) => Ok(Expected::Absent),
        (Some(expected), None, false) => Ok(expected),
        (None, Some(version), false) => Ok(Expected::Version(version)),
        (Some(Expected::Version(tag)), Some(version), false) if tag == version => {
            Ok(Expected::Version(version))
        }
        _ => Err(Refusal::new(
            Code::InvalidRequest,
            "admin.version",
            "If-Match, If-None-Match and \"version\" contradict one another: send one of them",
        )),
    }
}

/// For operations on a tenant that is there.
fn present(expected: Expected) -> Result<Expected, Refusal> {
    match expected {
        Expected::Any => Ok(Expected::Present),
        Expected::Absent => Err(bad_version()),
        expected => Ok(expected),
    }
}

/// JSON Merge Patch (RFC 7396). The depth is bounded by the check of the body.
fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(&key);
            }
            Value::Object(patch) => {
                let place = target.entry(key).or_insert_with(|| json!({}));
                if !place.is_object() {
                    *place = json!({});
                }
                if let Value::Object(inner) = place {
                    merge(inner, patch);
                }
            }
            value => {
                target.insert(key, value);
            }
        }
    }
}

fn done(id: &str, status: u16, changed: &Changed) -> Result<(Answer, String), Refusal> {
    let held = changed
        .now
        .as_ref()
        .ok_or_else(|| Refusal::new(Code::Internal, "admin.internal", "the tenant is gone"))?;
    let what = if changed.created { "created" } else { "changed" };
    let note = if changed.fields.is_empty() {
        format!("nothing {what}")
    } else {
        format!("{what}: {}", changed.fields.join(", "))
    };
    Ok((answer(status, id, held), note))
}

fn answer(status: u16, id: &str, held: &Held) -> Answer {
    Answer {
        status,
        body: shown(id, held),
        etag: Some(held.version),
    }
}

fn shown(id: &str, held: &Held) -> Value {
    let mut all = held.document.clone();
    all.insert("id".into(), id.into());
    all.insert("origin".into(), "store".into());
    all.insert("version".into(), held.version.into());
    all.into()
}

fn shown_file(id: &str, document: &Map<String, Value>) -> Value {
    let mut all = document.clone();
    all.insert("id".into(), id.into());
    all.insert("origin".into(), "file".into());
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn patches_follow_rfc_7396() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": 1}), json!({"a": null}), json!({"b": 1})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [1]}), json!({"a": [2]}), json!({"a": [2]})),
            (
                json!({"a": 1}),
                json!({"a": {"b": {"c": null}}}),
                json!({"a": {"b": {}}}),
            ),
        ] {
            let mut target = map(target);
            merge(&mut target, map(patch));
            assert_eq!(Value::from(target), result);
        }
    }

    #[test]
    fn preconditions_are_read_or_refused() {
        let of = |pairs: &[(http::HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, value.parse().unwrap());
            }
            Precondition::of(&headers).and_then(|precondition| expected(precondition, None))
        };
        assert_eq!(of(&[]).unwrap(), Expected::Any);
        assert_eq!(of(&[(IF_MATCH, "\"7\"")]).unwrap(), Expected::Version(7));
        assert_eq!(of(&[(IF_MATCH, "*")]).unwrap(), Expected::Present);
        assert_eq!(of(&[(IF_NONE_MATCH, "*")]).unwrap(), Expected::Absent);
        for bad in [
            &[(IF_MATCH, "7")][..],
            &[(IF_MATCH, "\"x\"")],
            &[(IF_MATCH, "W/\"7\"")],
            &[(IF_MATCH, "\"1\", \"2\"")],
            &[(IF_NONE_MATCH, "\"7\"")],
            &[(IF_MATCH, "\"7\""), (IF_MATCH, "\"7\"")],
            &[(IF_MATCH, "\"7\""), (IF_NONE_MATCH, "*")],
        ] {
            assert_eq!(of(bad).unwrap_err().rule, "admin.version", "{bad:?}");
        }
    }
}
