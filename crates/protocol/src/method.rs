//! Methods that a client may send, and how the HTTP headers of 2026-07-28 name their subject.

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $wire:literal),+ $(,)?) => {
        /// A request or notification method known to this crate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method { $($(#[$doc])* $name),+ }

        impl Method {
            /// Finds a method by its wire name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($wire => Some(Self::$name),)+ _ => None }
            }
            /// The wire name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire),+ }
            }
        }
    };
}

methods! {
    /// Legacy handshake.
    Initialize = "initialize",
    /// Legacy: the client is ready.
    Initialized = "notifications/initialized",
    /// Legacy liveness check.
    Ping = "ping",
    /// Modern: what the server is and can do.
    Discover = "server/discover",
    /// Modern: open a stream of change notifications.
    Listen = "subscriptions/listen",
    /// List tools.
    ToolsList = "tools/list",
    /// Call a tool.
    ToolsCall = "tools/call",
    /// List resources.
    ResourcesList = "resources/list",
    /// List resource templates.
    ResourceTemplatesList = "resources/templates/list",
    /// Read a resource.
    ResourcesRead = "resources/read",
    /// Legacy: subscribe to a resource.
    ResourcesSubscribe = "resources/subscribe",
    /// Legacy: end a resource subscription.
    ResourcesUnsubscribe = "resources/unsubscribe",
    /// List prompts.
    PromptsList = "prompts/list",
    /// Get a prompt.
    PromptsGet = "prompts/get",
    /// Complete an argument.
    Complete = "completion/complete",
    /// Legacy: set the minimum log level of the session.
    SetLevel = "logging/setLevel",
    /// Tasks extension: state, and the result when there is one.
    TasksGet = "tasks/get",
    /// Tasks extension: give the input that a task asked for.
    TasksUpdate = "tasks/update",
    /// Tasks extension: ask a task to stop.
    TasksCancel = "tasks/cancel",
    /// The sender gave up on a request.
    Cancelled = "notifications/cancelled",
    /// Progress of a request (a client may report it for server-to-client requests).
    Progress = "notifications/progress",
    /// Legacy: the client's roots changed.
    RootsListChanged = "notifications/roots/list_changed",
}

impl Method {
    /// Exists in the legacy era.
    pub const fn in_legacy(self) -> bool {
        !matches!(
            self,
            Self::Discover | Self::Listen | Self::TasksGet | Self::TasksUpdate | Self::TasksCancel
        )
    }

    /// Exists in the modern era.
    pub const fn in_modern(self) -> bool {
        !matches!(
            self,
            Self::Initialize
                | Self::Initialized
                | Self::Ping
                | Self::SetLevel
                | Self::ResourcesSubscribe
                | Self::ResourcesUnsubscribe
                | Self::RootsListChanged
        )
    }

    /// The member of `params` that the `Mcp-Name` header repeats, if the method has one
    /// (2026-07-28 basic/transports/streamable-http, "Standard Request Headers"; tasks: SEP-2663).
    pub const fn header_name_member(self) -> Option<&'static str> {
        match self {
            Self::ToolsCall | Self::PromptsGet => Some("name"),
            Self::ResourcesRead => Some("uri"),
            Self::TasksGet | Self::TasksUpdate | Self::TasksCancel => Some("taskId"),
            _ => None,
        }
    }

    /// May be answered with `resultType: "input_required"`.
    pub const fn may_ask_for_input(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }
}
