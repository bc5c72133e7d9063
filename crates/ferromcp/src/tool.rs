//! Tools.

mod handler;
mod output;

use std::sync::Arc;

use ferromcp_protocol::json;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::content::{Icon, member, write_json};
use crate::handler::Handler;
use crate::schema;

pub use handler::BlockingHandler;
pub(crate) use handler::{Erased, ask_first, finish};
pub use output::{Json, ToolOutput, ToolResult};

use handler::{Blocking, FnTool};

/// A tool: a name, a description, and a Rust function.
///
/// The function takes its arguments as one type that implements `Deserialize` and [`JsonSchema`]
/// (doc comments become descriptions), and a [`Context`](crate::Context) if it wants one; either may
/// be left out. What it returns is a [`ToolOutput`].
///
/// ```
/// use ferromcp::{Context, Json, JsonSchema, Tool, ToolError};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Divide {
///     /// What is divided.
///     dividend: i64,
///     /// By what; not zero.
///     divisor: i64,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Divided { quotient: i64, remainder: i64 }
///
/// async fn divide(args: Divide, cx: Context) -> Result<Json<Divided>, ToolError> {
///     cx.info("dividing");
///     let quotient = args.dividend.checked_div(args.divisor)
///         .ok_or_else(|| ToolError::msg("the divisor must not be zero"))?;
///     Ok(Json(Divided { quotient, remainder: args.dividend % args.divisor }))
/// }
///
/// let divide = Tool::new("divide", "Divides whole numbers", divide).read_only().idempotent();
/// let now = Tool::new("roll", "Rolls a die", || async { "4" });
/// # let _ = (divide, now);
/// ```
pub struct Tool {
    pub(crate) name: String,
    title: Option<String>,
    description: String,
    input: Schema,
    output: Option<Value>,
    annotations: Annotations,
    icons: Vec<Icon>,
    meta: Option<Value>,
    headers: Vec<(String, String)>,
    pub(crate) task: TaskMode,
    pub(crate) handler: Arc<dyn Erased>,
}

enum Schema {
    Generated(Value),
    /// Text as the author gave it.
    Verbatim(String),
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Annotations {
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only_hint: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destructive_hint: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotent_hint: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_world_hint: Option<bool>,
}

/// Whether calls of a tool run as tasks, for clients with the tasks extension
/// (`io.modelcontextprotocol/tasks`, 2026-07-28).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskSupport {
    /// As a task where the client supports it, otherwise as a plain call.
    Optional,
    /// Only as a task; clients without the extension get an error that names it.
    Required,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TaskMode {
    pub(crate) support: Option<TaskSupport>,
    pub(crate) when_asked: bool,
}

impl Tool {
    /// A tool from an async function or closure; the input schema comes from the type of its
    /// arguments, the output schema from [`Json`].
    pub fn new<M, H>(name: impl Into<String>, description: impl Into<String>, handler: H) -> Self
    where
        M: 'static,
        H: Handler<M>,
        H::Args: JsonSchema,
        H::Output: ToolOutput,
    {
        Self::with(
            name.into(),
            description.into(),
            Schema::Generated(schema::of_input::<H::Args>()),
            handler,
        )
    }

    /// A tool from a function that blocks its thread (file system, databases, computation). It runs
    /// on tokio's blocking threads. When the call is cancelled the function is not stopped, but
    /// [`Context::is_cancelled`](crate::Context::is_cancelled) tells it.
    ///
    /// ```
    /// # use ferromcp::{Context, Tool, ToolError};
    /// let tool = Tool::blocking("hostname", "Name of this machine", || -> Result<String, ToolError> {
    ///     Ok(std::fs::read_to_string("/etc/hostname")?.trim().to_owned())
    /// });
    /// # let _ = tool;
    /// ```
    pub fn blocking<M, F>(name: impl Into<String>, description: impl Into<String>, function: F) -> Self
    where
        M: 'static,
        F: BlockingHandler<M>,
        F::Args: JsonSchema,
    {
        Self::new(name, description, Blocking::new(function))
    }

    /// A tool with an input schema of your own, as JSON text that is published as it stands, or as
    /// a [`Value`]. The arguments can be any type that deserializes, such as [`Value`].
    ///
    /// ```
    /// # use ferromcp::{Tool, Value};
    /// let tool = Tool::raw(
    ///     "count",
    ///     "Counts the members of any object",
    ///     r#"{"type": "object", "minProperties": 1}"#,
    ///     |args: Value| async move { args.as_object().map_or(0, |o| o.len()).to_string() },
    /// );
    /// # let _ = tool;
    /// ```
    pub fn raw<M, H>(
        name: impl Into<String>,
        description: impl Into<String>,
        input_schema: impl Into<RawSchema>,
        handler: H,
    ) -> Self
    where
        M: 'static,
        H: Handler<M>,
        H::Output: ToolOutput,
    {
        Self::with(
            name.into(),
            description.into(),
            Schema::Verbatim(input_schema.into().0),
            handler,
        )
    }

    fn with<M, H>(name: String, description: String, input: Schema, handler: H) -> Self
    where
        M: 'static,
        H: Handler<M>,
        H::Output: ToolOutput,
    {
        Self {
            name,
            title: None,
            description,
            input,
            output: H::Output::output_schema(),
            annotations: Annotations::default(),
            icons: Vec::new(),
            meta: None,
            headers: Vec::new(),
            task: TaskMode::default(),
            handler: Arc::new(FnTool::new(handler)),
        }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Hint: the tool changes nothing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.annotations.read_only_hint = Some(true);
        self
    }

    /// Hint: the tool may (or will not) destroy something. Clients assume that it may.
    #[must_use]
    pub fn destructive(mut self, destructive: bool) -> Self {
        self.annotations.destructive_hint = Some(destructive);
        self
    }

    /// Hint: a second call with the same arguments changes nothing more.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.annotations.idempotent_hint = Some(true);
        self
    }

    /// Hint: the tool deals (or does not deal) with an open world, such as the web. Clients assume
    /// that it does.
    #[must_use]
    pub fn open_world(mut self, open: bool) -> Self {
        self.annotations.open_world_hint = Some(open);
        self
    }

    /// An icon; may be called more than once.
    #[must_use]
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icons.push(icon);
        self
    }

    /// Sets `_meta`, a JSON object.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }

    /// Replaces the output schema, for tools that give structured content by [`ToolResult`].
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output = Some(schema);
        self
    }

    /// Has HTTP clients of 2026-07-28 repeat a top-level parameter (text, whole number or boolean)
    /// in the header `Mcp-Param-<header>`, so that proxies can route by it.
    ///
    /// ```
    /// # use ferromcp::{JsonSchema, Tool};
    /// #[derive(serde::Deserialize, JsonSchema)]
    /// struct Query { region: String }
    ///
    /// let tool = Tool::new("query", "Runs a query", |q: Query| async move { q.region }).header("region", "Region");
    /// # let _ = tool;
    /// ```
    #[must_use]
    pub fn header(mut self, parameter: impl Into<String>, header: impl Into<String>) -> Self {
        self.headers.push((parameter.into(), header.into()));
        self
    }

    /// Runs calls as tasks: where the client supports it, the call ends at once with a task, and
    /// the handler runs on.
    #[must_use]
    pub fn task(mut self, support: TaskSupport) -> Self {
        self.task = TaskMode {
            support: Some(support),
            when_asked: false,
        };
        self
    }

    /// Lets the handler decide, with [`Context::become_task`](crate::Context::become_task), when
    /// and whether its call becomes a task.
    #[must_use]
    pub fn task_when_asked(mut self, support: TaskSupport) -> Self {
        self.task = TaskMode {
            support: Some(support),
            when_asked: true,
        };
        self
    }

    /// The tool as MCP lists it, and what is wrong with it.
    pub(crate) fn definition(&self, problems: &mut Vec<String>) -> String {
        let name = &self.name;
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"name\":");
        json::write_str(&mut out, name);
        if let Some(title) = &self.title {
            member(&mut out, "title", title);
        }
        member(&mut out, "description", &self.description);
        out.extend_from_slice(b",\"inputSchema\":");
        match self.input_schema() {
            Ok(schema) => out.extend_from_slice(schema.as_bytes()),
            Err(problem) => {
                problems.push(format!("tool `{name}`: {problem}"));
                out.extend_from_slice(b"{}");
            }
        }
        if let Some(schema) = &self.output {
            write_json(&mut out, "outputSchema", schema);
        }
        if self.annotations != Annotations::default() {
            write_json(&mut out, "annotations", &self.annotations);
        }
        if !self.icons.is_empty() {
            write_json(&mut out, "icons", &self.icons);
        }
        match &self.meta {
            Some(meta) if meta.is_object() => write_json(&mut out, "_meta", meta),
            Some(_) => problems.push(format!("tool `{name}`: its meta must be a JSON object")),
            None => {}
        }
        out.push(b'}');
        // Only whole JSON texts were appended.
        String::from_utf8(out).unwrap_or_default()
    }

    fn input_schema(&self) -> Result<String, String> {
        let mut schema = match &self.input {
            Schema::Generated(schema) => schema.clone(),
            Schema::Verbatim(text) => {
                let schema: Value =
                    serde_json::from_str(text).map_err(|e| format!("its input schema is not JSON: {e}"))?;
                if !schema.is_object() {
                    return Err("its input schema must be a JSON object".into());
                }
                if self.headers.is_empty() {
                    return root_object(&schema).map(|()| text.trim().to_owned());
                }
                schema
            }
        };
        root_object(&schema)?;
        for (parameter, header) in &self.headers {
            let property = schema.get_mut("properties").and_then(|p| p.get_mut(parameter));
            let Some(Value::Object(property)) = property else {
                return Err(format!(
                    "it has no parameter `{parameter}` to repeat in the header `{header}`"
                ));
            };
            property.insert("x-mcp-header".into(), header.as_str().into());
        }
        Ok(schema.to_string())
    }
}

fn root_object(schema: &Value) -> Result<(), String> {
    match schema.get("type") {
        Some(kind) if kind == "object" => Ok(()),
        _ => Err(
            "arguments are always an object, so the root of its input schema must say \"type\": \"object\""
                .into(),
        ),
    }
}

impl std::fmt::Debug for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tool")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// JSON text of an input schema, for [`Tool::raw`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawSchema(String);

impl From<&str> for RawSchema {
    fn from(json: &str) -> Self {
        Self(json.to_owned())
    }
}

impl From<String> for RawSchema {
    fn from(json: String) -> Self {
        Self(json)
    }
}

impl From<Value> for RawSchema {
    fn from(schema: Value) -> Self {
        Self(schema.to_string())
    }
}
