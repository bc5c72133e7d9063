//! Questions to the caller.

use std::future::Future;

use ferromcp_core::{InputRequest, Interaction};
use tokio::sync::oneshot;

use super::{Asked, Command, Context, ended};
use crate::error::ToolError;
use crate::question::{Answer, Form, Question, Root, Roots, Sample, Sampled, Url};

impl Context {
    /// Asks the caller one question and returns the answer. See [`Context`] for what happens in
    /// each protocol era; pass errors on with `?`.
    ///
    /// ```
    /// use ferromcp::{Answer, Context, Form, JsonSchema, ToolError};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Booking {
    ///     /// How many people?
    ///     seats: u8,
    /// }
    ///
    /// async fn book(cx: Context) -> Result<String, ToolError> {
    ///     match cx.ask("booking", Form::<Booking>::new("For how many people?")?).await? {
    ///         Answer::Accepted(booking) => Ok(format!("booked {} seats", booking.seats)),
    ///         Answer::Declined | Answer::Cancelled => Ok("nothing booked".into()),
    ///     }
    /// }
    /// # let _ = ferromcp::Tool::new("book", "Books a table", book);
    /// ```
    pub async fn ask<Q: Question>(&self, key: &str, question: Q) -> Result<Q::Answer, ToolError> {
        if let Some(raw) = self.inner.answer(key)
            && let Ok(answer) = question.decode(&raw)
        {
            return Ok(answer);
        }
        self.require(question.kind())?;
        let in_place = self.in_task() || self.inner.interaction == Interaction::Direct;
        let request = InputRequest {
            key: key.to_owned(),
            kind: question.kind(),
            params: question.params(self.inner.version, in_place)?,
        };
        if !in_place {
            // An answer that does not fit is asked for again, like a missing one.
            self.inner.postpone(request);
            return Err(ToolError::input_required());
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Ask(Asked {
            request,
            check: question.check(),
            reply,
        }));
        let raw = answer.await.map_err(|_| ended())?.map_err(ToolError::call)?;
        let decoded = question.decode(&raw).map_err(|reason| {
            ToolError::msg(format!(
                "the client's answer to `{key}` does not fit the question: {reason}"
            ))
        })?;
        self.inner.lock().answers.push((key.to_owned(), raw.into()));
        Ok(decoded)
    }

    /// Asks the person for data in a form whose fields are those of `T`: text, numbers, booleans,
    /// and enums of plain variants.
    pub async fn elicit<T>(&self, key: &str, message: impl Into<String>) -> Result<Answer<T>, ToolError>
    where
        T: serde::de::DeserializeOwned + schemars::JsonSchema + Send,
    {
        let form = Form::<T>::new(message)?;
        self.ask(key, form).await
    }

    /// Asks the person to open a page, for what must not pass through the client (credentials,
    /// payments). The answer says only whether the person agreed to go there.
    pub async fn elicit_url(
        &self,
        key: &str,
        message: impl Into<String>,
        url: impl Into<String>,
    ) -> Result<Answer<()>, ToolError> {
        let question = Url::new(message, url)?;
        self.ask(key, question).await
    }

    /// Asks the client's model.
    pub async fn sample(&self, key: &str, request: Sample) -> Result<Sampled, ToolError> {
        self.ask(key, request).await
    }

    /// Asks which directories or other places the client works in.
    pub async fn list_roots(&self, key: &str) -> Result<Vec<Root>, ToolError> {
        self.ask(key, Roots).await
    }

    /// Asks several questions at once: a tuple of `(key, question)` gives a tuple of answers, an
    /// array or a `Vec` gives a `Vec`; a question in an `Option` is asked if it is there.
    ///
    /// ```
    /// use ferromcp::{Answer, Context, Form, JsonSchema, Sample, ToolError};
    /// # #[derive(serde::Deserialize, JsonSchema)] struct Name { name: String }
    ///
    /// async fn welcome(cx: Context) -> Result<String, ToolError> {
    ///     let (name, greeting) = cx
    ///         .ask_all((
    ///             ("name", Form::<Name>::new("Your name?")?),
    ///             ("greeting", Sample::new("Write a short greeting").max_tokens(50)),
    ///         ))
    ///         .await?;
    ///     let name = name.accepted().map_or_else(|| "friend".into(), |n| n.name);
    ///     Ok(format!("{name}: {}", greeting.text()))
    /// }
    /// # let _ = ferromcp::Tool::new("welcome", "Welcomes", welcome);
    /// ```
    pub async fn ask_all<Q: Questions>(&self, questions: Q) -> Result<Q::Answers, ToolError> {
        questions.ask(self).await
    }
}

impl super::Inner {
    fn answer(&self, key: &str) -> Option<String> {
        self.lock()
            .answers
            .iter()
            .rev()
            .find(|(k, _)| k == key)
            .map(|(_, raw)| raw.clone())
    }

    fn postpone(&self, request: InputRequest) {
        let mut state = self.lock();
        if state.pending.iter().all(|p| p.key != request.key) {
            state.pending.push(request);
        }
    }
}

/// Several questions for [`Context::ask_all`].
pub trait Questions: Send {
    /// Their answers, in the same shape.
    type Answers;

    /// Asks all of them at the same time.
    fn ask(self, cx: &Context) -> impl Future<Output = Result<Self::Answers, ToolError>> + Send;
}

impl<Q: Question> Questions for (&str, Q) {
    type Answers = Q::Answer;

    async fn ask(self, cx: &Context) -> Result<Q::Answer, ToolError> {
        cx.ask(self.0, self.1).await
    }
}

impl<Q: Question> Questions for (String, Q) {
    type Answers = Q::Answer;

    async fn ask(self, cx: &Context) -> Result<Q::Answer, ToolError> {
        cx.ask(&self.0, self.1).await
    }
}

impl<Q: Questions> Questions for Option<Q>
where
    Q::Answers: Send,
{
    type Answers = Option<Q::Answers>;

    async fn ask(self, cx: &Context) -> Result<Self::Answers, ToolError> {
        match self {
            Some(question) => question.ask(cx).await.map(Some),
            None => Ok(None),
        }
    }
}

impl<Q: Questions> Questions for Vec<Q>
where
    Q::Answers: Send,
{
    type Answers = Vec<Q::Answers>;

    async fn ask(self, cx: &Context) -> Result<Self::Answers, ToolError> {
        let asked = futures_util::future::join_all(self.into_iter().map(|q| q.ask(cx))).await;
        let mut answers = Vec::with_capacity(asked.len());
        let mut failure = None;
        for outcome in asked {
            match outcome {
                Ok(answer) => answers.push(answer),
                Err(e) => failure = Some(worse(failure, e)),
            }
        }
        failure.map_or(Ok(answers), Err)
    }
}

impl<Q: Questions, const N: usize> Questions for [Q; N]
where
    Q::Answers: Send,
{
    type Answers = Vec<Q::Answers>;

    async fn ask(self, cx: &Context) -> Result<Self::Answers, ToolError> {
        Vec::from(self).ask(cx).await
    }
}

/// A real failure counts more than "ask first": no answer would help.
fn worse(one: Option<ToolError>, other: ToolError) -> ToolError {
    match one {
        Some(one) if !one.is_input_required() => one,
        _ => other,
    }
}

macro_rules! tuple {
    ($($name:ident $place:tt),+) => {
        impl<$($name: Questions),+> Questions for ($($name,)+)
        where
            $($name::Answers: Send),+
        {
            type Answers = ($($name::Answers,)+);

            async fn ask(self, cx: &Context) -> Result<Self::Answers, ToolError> {
                let outcomes = futures_util::join!($(self.$place.ask(cx)),+);
                let mut failure = None;
                let answers = ($(
                    match outcomes.$place {
                        Ok(answer) => Some(answer),
                        Err(e) => {
                            failure = Some(worse(failure.take(), e));
                            None
                        }
                    },
                )+);
                match (failure, answers) {
                    (None, ($(Some($name),)+)) => Ok(($($name,)+)),
                    (failure, _) => Err(failure.unwrap_or_else(ended)),
                }
            }
        }
    };
}

#[expect(non_snake_case, reason = "the macro names its bindings after type parameters")]
mod tuples {
    use super::{Context, Questions, ToolError, ended, worse};

    // A pair of questions must itself hold `(key, question)` pairs, so it cannot be mistaken for
    // one: keys are strings, which are no `Questions`.
    tuple!(A 0);
    tuple!(A 0, B 1);
    tuple!(A 0, B 1, C 2);
    tuple!(A 0, B 1, C 2, D 3);
    tuple!(A 0, B 1, C 2, D 3, E 4);
    tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
}
