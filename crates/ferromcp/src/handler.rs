//! Functions as handlers.

use std::borrow::Cow;
use std::future::Future;

use ferromcp_core::{Arguments, CallError};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::schema;

/// Where a handler's arguments come from.
pub trait Parse {
    /// Makes them one value.
    fn parse<T: DeserializeOwned>(self) -> Result<T, CallError>;
}

impl Parse for &Arguments<'_> {
    fn parse<T: DeserializeOwned>(self) -> Result<T, CallError> {
        Arguments::parse(self)
    }
}

/// A function that can be a tool, resource or prompt: async, with arguments or none, with a
/// [`Context`] or without. Implemented for all such functions and closures; `M` only tells their
/// shapes apart.
pub trait Handler<M>: Send + Sync + 'static {
    /// The arguments.
    type Args: Send;
    /// What comes out.
    type Output;
    /// The running function.
    type Future: Future<Output = Self::Output> + Send + 'static;

    #[doc(hidden)]
    fn parse(arguments: impl Parse) -> Result<Self::Args, CallError>;

    /// Calls the function; `context` is used only if it takes one.
    #[doc(hidden)]
    fn invoke(&self, args: Self::Args, context: impl FnOnce() -> Context) -> Self::Future;
}

/// The arguments of a function that takes none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoArgs;

impl JsonSchema for NoArgs {
    fn schema_name() -> Cow<'static, str> {
        "NoArgs".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::try_from(schema::empty()).unwrap_or_default()
    }
}

/// Marks functions whose only argument is a [`Context`].
#[derive(Debug)]
pub struct OnlyContext;

impl<F, Fut> Handler<()> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
{
    type Args = NoArgs;
    type Output = Fut::Output;
    type Future = Fut;

    fn parse(_: impl Parse) -> Result<NoArgs, CallError> {
        Ok(NoArgs)
    }

    fn invoke(&self, _: NoArgs, _: impl FnOnce() -> Context) -> Fut {
        self()
    }
}

impl<F, Fut> Handler<OnlyContext> for F
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
{
    type Args = NoArgs;
    type Output = Fut::Output;
    type Future = Fut;

    fn parse(_: impl Parse) -> Result<NoArgs, CallError> {
        Ok(NoArgs)
    }

    fn invoke(&self, _: NoArgs, context: impl FnOnce() -> Context) -> Fut {
        self(context())
    }
}

impl<F, A, Fut> Handler<(A,)> for F
where
    F: Fn(A) -> Fut + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
    Fut: Future + Send + 'static,
{
    type Args = A;
    type Output = Fut::Output;
    type Future = Fut;

    fn parse(arguments: impl Parse) -> Result<A, CallError> {
        arguments.parse()
    }

    fn invoke(&self, args: A, _: impl FnOnce() -> Context) -> Fut {
        self(args)
    }
}

impl<F, A, Fut> Handler<(A, Context)> for F
where
    F: Fn(A, Context) -> Fut + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
    Fut: Future + Send + 'static,
{
    type Args = A;
    type Output = Fut::Output;
    type Future = Fut;

    fn parse(arguments: impl Parse) -> Result<A, CallError> {
        arguments.parse()
    }

    fn invoke(&self, args: A, context: impl FnOnce() -> Context) -> Fut {
        self(args, context())
    }
}
