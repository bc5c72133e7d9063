//! Functions as tools.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;

use ferromcp_core::{CallContext, CallError, InputRequired, Payload, Reply, SourceFuture};
use ferromcp_protocol::ProtocolVersion;
use serde::de::DeserializeOwned;

use super::output::ToolOutput;
use crate::context::{Context, drive};
use crate::error::ToolError;
use crate::handler::{Handler, NoArgs, OnlyContext, Parse};
use crate::server::Shared;
use crate::task::TaskBody;

/// A function that can be a tool although it blocks its thread. Implemented for functions and
/// closures of the same shapes as [`Handler`], but not async.
pub trait BlockingHandler<M>: Send + Sync + 'static {
    /// The arguments.
    type Args: Send + 'static;
    /// What comes out.
    type Output: ToolOutput + Send + 'static;

    #[doc(hidden)]
    fn parse(arguments: impl Parse) -> Result<Self::Args, CallError>;

    #[doc(hidden)]
    fn run(&self, args: Self::Args, context: Context) -> Self::Output;
}

impl<F, O> BlockingHandler<()> for F
where
    F: Fn() -> O + Send + Sync + 'static,
    O: ToolOutput + Send + 'static,
{
    type Args = NoArgs;
    type Output = O;

    fn parse(_: impl Parse) -> Result<NoArgs, CallError> {
        Ok(NoArgs)
    }

    fn run(&self, _: NoArgs, _: Context) -> O {
        self()
    }
}

impl<F, O> BlockingHandler<OnlyContext> for F
where
    F: Fn(Context) -> O + Send + Sync + 'static,
    O: ToolOutput + Send + 'static,
{
    type Args = NoArgs;
    type Output = O;

    fn parse(_: impl Parse) -> Result<NoArgs, CallError> {
        Ok(NoArgs)
    }

    fn run(&self, _: NoArgs, context: Context) -> O {
        self(context)
    }
}

impl<F, A, O> BlockingHandler<(A,)> for F
where
    F: Fn(A) -> O + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
    O: ToolOutput + Send + 'static,
{
    type Args = A;
    type Output = O;

    fn parse(arguments: impl Parse) -> Result<A, CallError> {
        arguments.parse()
    }

    fn run(&self, args: A, _: Context) -> O {
        self(args)
    }
}

impl<F, A, O> BlockingHandler<(A, Context)> for F
where
    F: Fn(A, Context) -> O + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
    O: ToolOutput + Send + 'static,
{
    type Args = A;
    type Output = O;

    fn parse(arguments: impl Parse) -> Result<A, CallError> {
        arguments.parse()
    }

    fn run(&self, args: A, context: Context) -> O {
        self(args, context)
    }
}

/// Makes an async handler of a blocking one.
pub(super) struct Blocking<M, F> {
    function: Arc<F>,
    shape: PhantomData<fn(M)>,
}

impl<M, F> Blocking<M, F> {
    pub(super) fn new(function: F) -> Self {
        Self {
            function: Arc::new(function),
            shape: PhantomData,
        }
    }
}

/// Marks blocking functions.
pub(super) struct Threaded<M>(PhantomData<fn(M)>);

impl<M, F> Handler<Threaded<M>> for Blocking<M, F>
where
    M: 'static,
    F: BlockingHandler<M>,
{
    type Args = F::Args;
    type Output = Result<F::Output, ToolError>;
    type Future = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn parse(arguments: impl Parse) -> Result<F::Args, CallError> {
        F::parse(arguments)
    }

    fn invoke(&self, args: F::Args, context: impl FnOnce() -> Context) -> Self::Future {
        let function = Arc::clone(&self.function);
        // Always made, even if the function takes none: it is what tells of cancellation.
        let context = context();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || function.run(args, context)).await {
                Ok(output) => Ok(output),
                Err(failed) => match failed.try_into_panic() {
                    // The pipeline catches it, as it does for async handlers.
                    Ok(panic) => resume_unwind(panic),
                    Err(_) => Err(ToolError::msg("the server is shutting down")),
                },
            }
        })
    }
}

/// A handler whose types are gone.
pub(crate) trait Erased: Send + Sync {
    /// Runs it for a plain call.
    fn call<'a>(&'a self, cx: CallContext<'a>, server: &'a Arc<Shared>) -> SourceFuture<'a>;

    /// Starts it so that it can outlive the call.
    fn start(&self, cx: &CallContext<'_>, context: Context) -> Result<TaskBody, CallError>;
}

pub(crate) struct FnTool<M, H> {
    handler: H,
    shape: PhantomData<fn(M)>,
}

impl<M, H> FnTool<M, H> {
    pub(super) fn new(handler: H) -> Self {
        Self {
            handler,
            shape: PhantomData,
        }
    }
}

impl<M, H> Erased for FnTool<M, H>
where
    M: 'static,
    H: Handler<M>,
    H::Output: ToolOutput,
{
    fn call<'a>(&'a self, cx: CallContext<'a>, server: &'a Arc<Shared>) -> SourceFuture<'a> {
        // The one box of a call. A handler that takes no context costs nothing for having none.
        Box::pin(async move {
            let args = H::parse(cx.arguments)?;
            let mut made: Option<Context> = None;
            let running = self
                .handler
                .invoke(args, || made.insert(Context::new(&cx, server, false)).clone());
            let output = match &made {
                None => running.await,
                Some(context) => drive(cx, context, running).await,
            };
            finish(output.into_payload(), made.as_ref(), cx.call.version)
        })
    }

    fn start(&self, cx: &CallContext<'_>, context: Context) -> Result<TaskBody, CallError> {
        let args = H::parse(cx.arguments)?;
        let running = self.handler.invoke(args, || context);
        Ok(Box::pin(async move { running.await.into_payload() }))
    }
}

/// What a handler's end means for its call.
pub(crate) fn finish(
    output: Result<Payload, ToolError>,
    context: Option<&Context>,
    version: ProtocolVersion,
) -> Result<Reply, CallError> {
    match (output, context) {
        (Ok(payload), _) => Ok(Reply::Complete(payload)),
        (Err(error), Some(context)) if error.is_input_required() => Ok(ask_first(context)),
        (Err(error), _) => error.into_tool_result(version).map(Reply::Complete),
    }
}

/// The call ends with what its handler has to know first.
pub(crate) fn ask_first(context: &Context) -> Reply {
    let (requests, state) = context.take_pending();
    Reply::InputRequired(InputRequired {
        requests,
        state,
        forget_answers: false,
    })
}
