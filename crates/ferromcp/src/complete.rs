//! Completion of prompt arguments and template variables.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ferromcp_core::{Call, CallError, ErrorCode, Payload, Reply};
use ferromcp_protocol::json::{self, Object};

/// Most values in one answer (server/utilities/completion).
const MAX_VALUES: usize = 100;

/// An argument that is being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completing {
    /// What there is so far.
    pub value: String,
    /// Arguments that are already filled in.
    pub arguments: BTreeMap<String, String>,
}

type Completer = Arc<dyn Fn(Completing) -> Pin<Box<dyn Future<Output = Vec<String>> + Send>> + Send + Sync>;

/// Completers by argument name.
#[derive(Clone, Default)]
pub(crate) struct Completers(Vec<(String, Completer)>);

impl Completers {
    pub(crate) fn add<F, Fut, I>(&mut self, argument: String, complete: F)
    where
        F: Fn(Completing) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = I> + Send + 'static,
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let completer = move |typed: Completing| {
            let running = complete(typed);
            let values = async move { running.await.into_iter().map(Into::into).collect() };
            Box::pin(values) as Pin<Box<dyn Future<Output = Vec<String>> + Send>>
        };
        self.0.push((argument, Arc::new(completer)));
    }

    /// Completes to those of the choices that begin with what was typed, whatever its case.
    pub(crate) fn add_choices(&mut self, argument: String, choices: Vec<String>) {
        let choices: Arc<[String]> = choices.into();
        self.add(argument, move |typed: Completing| {
            let choices = Arc::clone(&choices);
            async move {
                let start = typed.value.to_lowercase();
                choices
                    .iter()
                    .filter(|c| c.to_lowercase().starts_with(&start))
                    .cloned()
                    .collect::<Vec<_>>()
            }
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Answers `completion/complete`. An argument that nobody completes has no values.
    pub(crate) async fn answer(&self, call: &Call<'_>) -> Result<Reply, CallError> {
        let (name, typed) = read(call)?;
        let values = match self.0.iter().find(|(argument, _)| *argument == name) {
            Some((_, complete)) => complete(typed).await,
            None => Vec::new(),
        };
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(b"{\"completion\":{\"values\":[");
        for (i, value) in values.iter().take(MAX_VALUES).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            json::write_str(&mut out, value);
        }
        let more = values.len() > MAX_VALUES;
        out.extend_from_slice(format!("],\"total\":{},\"hasMore\":{more}}}}}", values.len()).as_bytes());
        Ok(Reply::Complete(Payload::plain(out)))
    }
}

/// The argument's name and what was typed, from the raw `params`.
fn read(call: &Call<'_>) -> Result<(String, Completing), CallError> {
    let bad = |what: &str| CallError::new(ErrorCode::InvalidRequest, format!("completion/complete: {what}"));
    let raw = call.params.or(call.arguments).unwrap_or("{}");
    let params = Object::parse(raw).map_err(|e| bad(&e.to_string()))?;
    let argument = params.get("argument").and_then(|raw| Object::parse(raw).ok());
    let argument = argument.ok_or_else(|| bad("`argument` must be an object with `name` and `value`"))?;
    let text = |key: &str| {
        argument
            .get_str(key)
            .map(String::from)
            .ok_or_else(|| bad(&format!("`argument.{key}` must be a string")))
    };
    let (name, value) = (text("name")?, text("value")?);
    let filled = params
        .get("context")
        .and_then(|raw| Object::parse(raw).ok()?.get("arguments"));
    let filled = filled.and_then(|raw| Object::parse(raw).ok()).unwrap_or_default();
    let arguments = filled
        .iter()
        .filter_map(|(key, raw)| Some((key.to_owned(), json::decode_str(raw)?.into_owned())))
        .collect();
    Ok((name, Completing { value, arguments }))
}
