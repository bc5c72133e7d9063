//! One operation of the document: how it is listed as a tool, and how its arguments become a request.

use std::collections::{BTreeSet, HashSet};

use ferromcp_core::guard::CompiledSchema;
use http::Method;
use http::header::HeaderName;
use serde_json::{Map, Value, json};

use crate::document::{Document, cut, text};
use crate::names;
use crate::request::encode;
use crate::schema::{Translation, Way};

/// Longest title and description of a tool, in bytes.
const MAX_TITLE: usize = 256;
const MAX_TEXT: usize = 4 * 1024;
/// Largest schema of arguments, in bytes; a tool with a larger one is left out.
const MAX_INPUT: usize = 256 * 1024;
/// Largest schema of results, in bytes; a tool with a larger one has none.
const MAX_OUTPUT: usize = 64 * 1024;
/// Most parameters of one operation.
const MAX_PARAMETERS: usize = 256;
/// The argument that holds the content of the request.
pub(crate) const BODY: &str = "body";

/// An operation that can be called.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// The path below the base URL.
    pub(crate) path: Vec<Piece>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<Body>,
}

/// A part of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As it is, encoded.
    Text(String),
    /// What a parameter says, by its place in the list.
    Parameter(usize),
}

#[derive(Debug)]
pub(crate) struct Parameter {
    /// Name among the arguments.
    pub(crate) argument: String,
    /// Name in the request.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) style: Style,
    pub(crate) explode: bool,
    pub(crate) required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// How a value that is no scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `a,b` in paths and headers.
    Simple,
    /// `name=a&name=b` or `name=a,b`.
    Form,
    /// `name=a b`.
    Space,
    /// `name=a|b`.
    Pipe,
    /// `name[key]=value`.
    Deep,
    /// As JSON.
    Json,
}

#[derive(Debug)]
pub(crate) struct Body {
    /// The argument that holds it.
    pub(crate) argument: String,
    /// As it is sent.
    pub(crate) media: String,
    pub(crate) form: bool,
    pub(crate) required: bool,
}

/// Where an operation is found.
pub(crate) struct Found<'d> {
    pub(crate) document: &'d Document,
    pub(crate) method: &'static str,
    pub(crate) path: &'d str,
    /// The path item.
    pub(crate) item: &'d Value,
    pub(crate) operation: &'d Value,
    /// Headers and query parameters that are not the caller's to set.
    pub(crate) fixed: &'d Fixed,
}

/// What the configuration sets in each request.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    pub(crate) headers: HashSet<HeaderName>,
    pub(crate) query: HashSet<String>,
}

/// Headers that are no parameters: OpenAPI says so of the first three; the others belong to the connection, to whom we are, or
/// to where the request goes.
const NO_PARAMETERS: [&str; 17] = [
    "accept",
    "content-type",
    "authorization",
    "accept-encoding",
    "connection",
    "content-length",
    "cookie",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Found<'_> {
    /// The operation, and its definition as a tool called `name`. An error says why it cannot be one.
    pub(crate) fn read(&self, name: &str) -> Result<(Operation, String), String> {
        let mut schemas = Translation::new(self.document, Way::Out);
        let mut properties = Map::new();
        let mut required = BTreeSet::new();
        let parameters = self.parameters(&mut schemas, &mut properties, &mut required)?;
        let path = path(self.path, &parameters)?;
        let body = self.body(&mut schemas, &mut properties, &mut required)?;
        let mut input = Map::new();
        input.insert("type".into(), "object".into());
        input.insert("properties".into(), Value::Object(properties));
        if !required.is_empty() {
            input.insert("required".into(), json!(required));
        }
        input.insert("additionalProperties".into(), false.into());
        schemas.finish(&mut input)?;
        let mut input = Value::Object(input);
        let size = input.to_string().len();
        if size > MAX_INPUT {
            return Err(format!(
                "the schema of its arguments has {size} bytes, more than {MAX_INPUT}"
            ));
        }
        usable(&mut input)?;
        let mut definition = Map::new();
        definition.insert("name".into(), name.into());
        let title = cut(text(self.operation, "summary"), MAX_TITLE);
        if !title.is_empty() {
            definition.insert("title".into(), title.into());
        }
        definition.insert("description".into(), self.description().into());
        definition.insert("inputSchema".into(), input);
        if let Some(output) = self.output() {
            definition.insert("outputSchema".into(), output);
        }
        definition.insert("annotations".into(), self.annotations());
        let method =
            Method::from_bytes(self.method.to_ascii_uppercase().as_bytes()).map_err(|e| e.to_string())?;
        let operation = Operation {
            method,
            path,
            parameters,
            body,
        };
        Ok((operation, Value::Object(definition).to_string()))
    }

    fn description(&self) -> String {
        let (summary, long) = (
            text(self.operation, "summary"),
            text(self.operation, "description"),
        );
        let mut out = match (summary, long) {
            ("", "") => format!("{} {}", self.method.to_ascii_uppercase(), self.path),
            (one, "") | ("", one) => one.to_owned(),
            (summary, long) if long.starts_with(summary) => long.to_owned(),
            (summary, long) => format!("{summary}\n\n{long}"),
        };
        if self.operation.get("deprecated") == Some(&Value::Bool(true)) {
            out.insert_str(0, "Deprecated. ");
        }
        cut(&out, MAX_TEXT).into_owned()
    }

    /// What HTTP promises of a method. Of POST it promises nothing, so nothing is said.
    fn annotations(&self) -> Value {
        match self.method {
            "get" => json!({"readOnlyHint": true}),
            "put" | "delete" => {
                json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": true})
            }
            "patch" => json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": false}),
            _ => json!({"readOnlyHint": false}),
        }
    }

    fn parameters<'d>(
        &'d self,
        schemas: &mut Translation<'d>,
        properties: &mut Map<String, Value>,
        required: &mut BTreeSet<String>,
    ) -> Result<Vec<Parameter>, String> {
        let mut given: Vec<(&Value, &str, &str)> = Vec::new();
        for of in [self.item, self.operation] {
            for parameter in of
                .get("parameters")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let parameter = self.document.resolve(parameter)?;
                let (name, place) = (text(parameter, "name"), text(parameter, "in"));
                // Those of the operation replace those of the path.
                given.retain(|(_, n, p)| (*n, *p) != (name, place));
                given.push((parameter, name, place));
            }
        }
        if given.len() > MAX_PARAMETERS {
            return Err(format!("it has more than {MAX_PARAMETERS} parameters"));
        }
        let mut made = Vec::new();
        for (parameter, name, place) in given {
            let is_required = parameter.get("required") == Some(&Value::Bool(true)) || place == "path";
            let Some(place) = self.place(name, place, is_required)? else {
                continue;
            };
            let (schema, style) = shape(parameter, name, place)?;
            let argument = free(name, place, properties)?;
            let mut property = match schema {
                Some(schema) => schemas.take(schema)?,
                None => json!({}),
            };
            let description = text(parameter, "description");
            if let Value::Object(property) = &mut property
                && !description.is_empty()
            {
                property.insert("description".into(), cut(description, 1024).into());
            }
            properties.insert(argument.clone(), property);
            if is_required {
                required.insert(argument.clone());
            }
            let explode = parameter.get("explode").and_then(Value::as_bool);
            made.push(Parameter {
                argument,
                name: name.to_owned(),
                place,
                style,
                explode: explode.unwrap_or(style == Style::Form),
                required: is_required,
            });
        }
        Ok(made)
    }

    /// Where a parameter goes; `None` if it is not the caller's.
    fn place(&self, name: &str, place: &str, required: bool) -> Result<Option<Place>, String> {
        let shown = cut(name, 100).escape_debug().to_string();
        if name.is_empty() {
            return Err("a parameter has no name".to_owned());
        }
        match place {
            "path" => Ok(Some(Place::Path)),
            "query" if self.fixed.query.contains(name) => Ok(None),
            "query" => Ok(Some(Place::Query)),
            "header" => {
                let header = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| format!("the parameter `{shown}` is no name of a header"))?;
                let ours = NO_PARAMETERS.contains(&header.as_str())
                    || header.as_str().starts_with("x-forwarded-")
                    || self.fixed.headers.contains(&header);
                Ok((!ours).then_some(Place::Header))
            }
            "cookie" if !required => Ok(None),
            "cookie" => Err(format!(
                "the parameter `{shown}` is a cookie, and cookies are not sent"
            )),
            _ => Err(format!("the parameter `{shown}` has no place in a request")),
        }
    }

    fn body<'d>(
        &'d self,
        schemas: &mut Translation<'d>,
        properties: &mut Map<String, Value>,
        required: &mut BTreeSet<String>,
    ) -> Result<Option<Body>, String> {
        let Some(body) = self.operation.get("requestBody") else {
            return Ok(None);
        };
        let body = self.document.resolve(body)?;
        let is_required = body.get("required") == Some(&Value::Bool(true));
        let kinds = body.get("content").and_then(Value::as_object);
        let kinds: Vec<_> = kinds.into_iter().flatten().collect();
        let of = |is: fn(&str) -> bool| kinds.iter().find(|(media, _)| is(media));
        let found = of(is_json).map(|found| (found, false));
        let found = found.or_else(|| of(is_form).map(|found| (found, true)));
        let Some(((media, content), form)) = found else {
            return match is_required {
                true => Err("what it takes is neither JSON nor a simple form".to_owned()),
                false => Ok(None),
            };
        };
        let argument = match properties.contains_key(BODY) {
            true => "request_body".to_owned(),
            false => BODY.to_owned(),
        };
        if properties.contains_key(&argument) {
            return Err("its parameters leave no name for its content".to_owned());
        }
        let mut property = match content.get("schema") {
            Some(schema) => schemas.take(schema)?,
            None => json!({}),
        };
        let description = text(body, "description");
        if let Value::Object(property) = &mut property
            && !description.is_empty()
            && !property.contains_key("description")
        {
            property.insert("description".into(), cut(description, 1024).into());
        }
        properties.insert(argument.clone(), property);
        if is_required {
            required.insert(argument.clone());
        }
        // A range such as `application/*` is no type to send.
        let media = match media.contains('*') || http::HeaderValue::from_str(media).is_err() {
            true => "application/json".to_owned(),
            false => (*media).clone(),
        };
        Ok(Some(Body {
            argument,
            media,
            form,
            required: is_required,
        }))
    }

    /// The schema of what comes back, where there is one kind of success and it is a JSON object. What is wrong with it does no
    /// harm: the tool has none then.
    fn output(&self) -> Option<Value> {
        let responses = self.operation.get("responses")?.as_object()?;
        let mut good = responses.iter().filter(|(status, _)| status.starts_with('2'));
        let ((_, response), None) = (good.next()?, good.next()) else {
            return None;
        };
        let response = self.document.resolve(response).ok()?;
        let content = response.get("content")?.as_object()?;
        let mut kinds = content.iter();
        let ((media, kind), None) = (kinds.next()?, kinds.next()) else {
            return None;
        };
        let schema = kind.get("schema").filter(|_| is_json(media))?;
        let resolved = self.document.resolve(schema).ok()?;
        if text(resolved, "type") != "object" {
            return None;
        }
        let mut schemas = Translation::new(self.document, Way::Back);
        let mut out = schemas.take(schema).ok()?;
        let members = out.as_object_mut()?;
        // Clients look for it here.
        members.insert("type".into(), "object".into());
        schemas.finish(members).ok()?;
        let fits = out.to_string().len() <= MAX_OUTPUT;
        (fits && usable(&mut out).is_ok()).then_some(out)
    }
}

/// A tool whose schema no validator takes could never be called. Regular expressions are of another dialect now and then: it
/// goes without them.
fn usable(schema: &mut Value) -> Result<(), String> {
    if CompiledSchema::compile(schema).is_ok() {
        return Ok(());
    }
    without_patterns(schema);
    CompiledSchema::compile(schema)
        .map(|_| ())
        .map_err(|e| format!("its schema cannot be used: {e}"))
}

fn without_patterns(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("pattern").is_some_and(Value::is_string) {
                members.remove("pattern");
            }
            members.values_mut().for_each(without_patterns);
        }
        Value::Array(items) => items.iter_mut().for_each(without_patterns),
        _ => {}
    }
}

/// The schema of a parameter, and how its values are written.
fn shape<'d>(parameter: &'d Value, name: &str, place: Place) -> Result<(Option<&'d Value>, Style), String> {
    let shown = || cut(name, 100).escape_debug().to_string();
    if let Some(content) = parameter.get("content").and_then(Value::as_object) {
        return match content.iter().next() {
            Some((media, kind)) if is_json(media) => Ok((kind.get("schema"), Style::Json)),
            _ => Err(format!("the parameter `{}` is neither plain nor JSON", shown())),
        };
    }
    let style = match (place, text(parameter, "style")) {
        (Place::Path | Place::Header, "" | "simple") => Style::Simple,
        (Place::Query, "" | "form") => Style::Form,
        (Place::Query, "spaceDelimited") => Style::Space,
        (Place::Query, "pipeDelimited") => Style::Pipe,
        (Place::Query, "deepObject") => Style::Deep,
        (_, style) => {
            let style = cut(style, 40).escape_debug().to_string();
            return Err(format!("the parameter `{}` has the style `{style}`", shown()));
        }
    };
    Ok((parameter.get("schema"), style))
}

/// A name for an argument that no other has.
fn free(name: &str, place: Place, taken: &Map<String, Value>) -> Result<String, String> {
    let mut own = names::argument(name);
    if own.is_empty() {
        own = "parameter".to_owned();
    }
    let place = match place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    [own.clone(), names::argument(&format!("{place}_{own}"))]
        .into_iter()
        .find(|name| !taken.contains_key(name))
        .ok_or_else(|| format!("two parameters would both be called `{own}`"))
}

/// The path in pieces. What it says itself is encoded, so that nothing in it ends the path.
fn path(template: &str, parameters: &[Parameter]) -> Result<Vec<Piece>, String> {
    if !template.starts_with('/') {
        return Err("its path does not begin with `/`".to_owned());
    }
    if template.contains(['?', '#', '\\']) || template.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("its path is more than a path".to_owned());
    }
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("its path has a `{` without `}`")?;
        pieces.push(Piece::Text(literal(before)));
        let at = parameters
            .iter()
            .position(|parameter| parameter.place == Place::Path && parameter.name == name);
        let at = at.ok_or_else(|| {
            let name = cut(name, 100).escape_debug().to_string();
            format!("its path needs `{name}`, which is no parameter of it")
        })?;
        pieces.push(Piece::Parameter(at));
        rest = after;
    }
    pieces.push(Piece::Text(literal(rest)));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}

fn literal(text: &str) -> String {
    let parts: Vec<String> = text
        .split('/')
        .map(|part| {
            let decoded = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
            // What may stand in a path stays readable; `:` and `@` are common in them.
            encode(&decoded).replace("%3A", ":").replace("%40", "@")
        })
        .collect();
    parts.join("/")
}

fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    matches!(
        media.as_str(),
        "application/json" | "text/json" | "*/*" | "application/*"
    ) || (media.starts_with("application/") && media.ends_with("+json"))
}

fn is_form(media: &str) -> bool {
    media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
