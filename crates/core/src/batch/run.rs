//! Running a batch: each call on its own through [`Gateway::call`].

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::plan::{Batch, Planned};
use super::reference;
use super::{
    BatchSink, BatchSummary, MAX_RESULTS, RULE_DEPENDENCY, RULE_NESTED, RULE_REFERENCE, RULE_RESULTS,
    RULE_STOPPED,
};
use crate::call::{Call, Credential, Operation, Principal};
use crate::client::Member;
use crate::error::{CallError, ErrorCode, Issue};
use crate::gateway::{Gateway, Outcome};
use crate::record::{Ending, Recorder};
use crate::stage;

/// After so many calls others have their turn: those of a batch may all answer at once.
const TURN: usize = 100;

/// What the record of a batch that was refused as a whole says in place of a tool.
const NAME: &str = "batch";

impl Gateway {
    /// Carries out a batch. `frame` is a call of the same caller: its name, arguments and params are those of each call in
    /// turn, all else is the same for all. Its deadline is of the whole batch, like the batch's own.
    ///
    /// Dropping the future cancels the calls that run. Calls that had not begun then leave no record.
    ///
    /// # Errors
    /// Why no call was run: who calls is not known or has no room for a batch of this size, or the batch is part of
    /// another. Or why it ended early: `sink` is gone.
    pub async fn batch(
        &self,
        batch: &Batch<'_>,
        frame: &Call<'_>,
        sink: &mut dyn BatchSink,
    ) -> Result<BatchSummary, CallError> {
        let started = Instant::now();
        let Admitted {
            principal,
            parallel,
            max_arguments,
        } = self.admit_batch(batch, frame)?;
        let member = Member::of(frame.client);
        let timeout = [batch.timeout, frame.timeout].into_iter().flatten().min();
        let frame = Call {
            operation: Operation::CallTool,
            arguments: None,
            params: None,
            credential: Credential::Proven(&principal),
            tenant: batch.tenant.as_deref().or(frame.tenant),
            client: &member,
            input: None,
            timeout: None,
            ..*frame
        };
        let mut run = Run {
            gateway: self,
            batch,
            frame,
            max_arguments,
            limit: timeout.map(|timeout| (started + timeout, timeout)),
            ready: BinaryHeap::new(),
            waits: batch.calls.iter().map(|c| c.waits_for).collect(),
            outputs: HashMap::default(),
            kept: 0,
            stopped_by: None,
            summary: BatchSummary::default(),
        };
        let free = (0..batch.calls.len() as u32).filter(|&at| batch.calls[at as usize].waits_for == 0);
        run.ready.extend(free.map(Reverse));
        match parallel {
            1 => run.in_order(sink).await?,
            _ => run.at_once(parallel, sink).await?,
        }
        run.summary.latency = started.elapsed();
        Ok(run.summary)
    }

    /// What is refused here leaves one record.
    fn admit_batch(&self, batch: &Batch<'_>, frame: &Call<'_>) -> Result<Admitted, CallError> {
        let whole = Call {
            operation: Operation::CallTool,
            name: NAME,
            arguments: None,
            params: None,
            tenant: batch.tenant.as_deref().or(frame.tenant),
            ..*frame
        };
        let mut recorder = Recorder::start(self.observer(), &whole);
        let admitted = self.room_for(batch, &whole, &mut recorder);
        match &admitted {
            Ok(_) => recorder.forget(),
            Err(error) => {
                let (code, rule) = error.record();
                recorder.finish(Ending::Failed(code), rule, 0);
            }
        }
        admitted
    }

    fn room_for(
        &self,
        batch: &Batch<'_>,
        whole: &Call<'_>,
        recorder: &mut Recorder<'_>,
    ) -> Result<Admitted, CallError> {
        if whole.client.in_batch() {
            let message = "a call of a batch cannot be a batch; put its calls into the outer one";
            return Err(CallError::new(ErrorCode::InvalidRequest, message).with_rule(RULE_NESTED));
        }
        let snapshot = self.snapshot();
        let principal = snapshot.access.principal(whole.credential)?;
        recorder.principal = Some(principal.clone());
        let acting = match whole.tenant {
            None => principal.clone(),
            Some(tenant) => snapshot.access.act_for(&principal, tenant)?,
        };
        let mut admitted = Admitted {
            principal,
            parallel: batch.parallel,
            max_arguments: snapshot.policy.scan.max_bytes,
        };
        let Some(limits) = acting.grants().limits() else {
            return Ok(admitted);
        };
        limits
            .check_batch(batch.calls.len())
            .map_err(|refusal| stage::refused(&refusal))?;
        // More at the same time than the tenant may have would only make calls of its own batch fail.
        let most = limits
            .settings()
            .quotas
            .concurrent
            .map_or(usize::MAX, |n| n as usize);
        admitted.parallel = batch.parallel.min(most).max(1);
        Ok(admitted)
    }
}

/// A batch that may run.
struct Admitted {
    principal: Principal,
    /// How many of its calls may run at the same time.
    parallel: usize,
    /// Bytes that arguments may have.
    max_arguments: usize,
}

/// A result that calls refer to that have not begun.
struct Kept {
    /// `None`: the call failed, or its result was too much.
    output: Option<Box<str>>,
    /// How many calls need it.
    users: usize,
    too_much: bool,
}

struct Run<'r> {
    gateway: &'r Gateway,
    batch: &'r Batch<'r>,
    frame: Call<'r>,
    /// Bytes that arguments may have with results in them.
    max_arguments: usize,
    /// When the batch ends, and the time that it had.
    limit: Option<(Instant, Duration)>,
    /// Calls that wait for nobody, the first of the caller's order first.
    ready: BinaryHeap<Reverse<u32>>,
    /// By call: how many it still waits for.
    waits: Vec<u32>,
    outputs: HashMap<u32, Kept, RandomState>,
    /// Bytes of `outputs`.
    kept: usize,
    /// The first call that failed, if the batch is to stop then.
    stopped_by: Option<u32>,
    summary: BatchSummary,
}

/// What a call is started with.
struct Start<'r> {
    arguments: Option<Cow<'r, str>>,
    timeout: Option<Duration>,
}

impl<'r> Run<'r> {
    async fn in_order(&mut self, sink: &mut dyn BatchSink) -> Result<(), CallError> {
        let mut turn = 0;
        while let Some(Reverse(at)) = self.ready.pop() {
            poll_fn(|cx| sink.poll_ready(cx)).await?;
            let outcome = match self.start(at) {
                Ok(start) => one(self.gateway, self.frame, self.planned(at), start).await,
                Err(error) => self.left_out(at, error),
            };
            self.ended(at, &outcome);
            sink.ended(at as usize, outcome);
            turn += 1;
            if turn == TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn at_once(&mut self, parallel: usize, sink: &mut dyn BatchSink) -> Result<(), CallError> {
        let mut running = FuturesUnordered::new();
        // What ended and was not taken yet: never more than run at the same time.
        let mut done: VecDeque<(u32, Outcome)> = VecDeque::new();
        poll_fn(|cx| {
            let mut turn = 0;
            loop {
                while !done.is_empty() && sink.poll_ready(cx)?.is_ready() {
                    if let Some((at, outcome)) = done.pop_front() {
                        sink.ended(at as usize, outcome);
                    }
                }
                if turn >= TURN {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if done.is_empty()
                    && running.len() < parallel
                    && let Some(Reverse(at)) = self.ready.pop()
                {
                    turn += 1;
                    let outcome = match self.start(at) {
                        Ok(start) => {
                            // Most tools of this process answer at once, and need no place among those that wait.
                            let mut call = Box::pin(one(self.gateway, self.frame, self.planned(at), start));
                            match call.as_mut().poll(cx) {
                                Poll::Ready(outcome) => outcome,
                                Poll::Pending => {
                                    running.push(async move { (at, call.await) });
                                    continue;
                                }
                            }
                        }
                        Err(error) => self.left_out(at, error),
                    };
                    self.ended(at, &outcome);
                    done.push_back((at, outcome));
                    continue;
                }
                match running.poll_next_unpin(cx) {
                    Poll::Ready(Some((at, outcome))) => {
                        self.ended(at, &outcome);
                        done.push_back((at, outcome));
                    }
                    Poll::Ready(None) if done.is_empty() => return Poll::Ready(Ok(())),
                    _ => return Poll::Pending,
                }
            }
        })
        .await
    }

    fn planned(&self, at: u32) -> &'r Planned<'r> {
        &self.batch.calls[at as usize]
    }

    /// Arguments and deadline of a call that is about to begin, or why it does not.
    fn start(&mut self, at: u32) -> Result<Start<'r>, CallError> {
        let planned = self.planned(at);
        let arguments = match planned.references.is_empty() {
            true => Ok(planned.call.arguments.map(Cow::Borrowed)),
            false => {
                let made = self.arguments(planned);
                self.release(planned);
                made.map(|text| Some(Cow::Owned(text)))
            }
        };
        if let Some(failed) = self.stopped_by {
            let which = self.name(failed);
            let message = format!("not run: {which} failed before, and the batch stops on errors");
            return Err(CallError::new(ErrorCode::Cancelled, message).with_rule(RULE_STOPPED));
        }
        let mut timeout = planned.call.timeout;
        if let Some((end, given)) = self.limit {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("not run: the {given:?} of the batch were over before its turn");
                return Err(CallError::new(ErrorCode::Timeout, message).with_rule("deadline"));
            }
            timeout = Some(timeout.map_or(left, |own| own.min(left)));
        }
        Ok(Start {
            arguments: arguments?,
            timeout,
        })
    }

    /// The arguments with results in place of references.
    fn arguments(&self, planned: &Planned<'_>) -> Result<String, CallError> {
        let raw = planned.call.arguments.unwrap_or_default();
        let most = self.max_arguments;
        let mut made = String::with_capacity(raw.len() + 64);
        let mut behind = 0;
        for (reference, to) in &planned.references {
            let output = self.output(*to)?;
            let part = reference::part(output, &reference.pointer).ok_or_else(|| {
                let message = format!(
                    "not run: there is nothing at `{}` in the result of {}",
                    reference.pointer,
                    self.name(*to)
                );
                CallError::new(ErrorCode::InvalidArguments, message).with_rule(RULE_REFERENCE)
            })?;
            made.push_str(&raw[behind..reference.place.start]);
            behind = reference.place.end;
            if made.len() + part.len() > most {
                let message = format!("not run: with the results put in, the arguments exceed {most} bytes");
                return Err(CallError::new(ErrorCode::InvalidArguments, message).with_rule(RULE_RESULTS));
            }
            made.push_str(&part);
        }
        made.push_str(&raw[behind..]);
        Ok(made)
    }

    fn output(&self, at: u32) -> Result<&str, CallError> {
        let kept = self.outputs.get(&at);
        if let Some(output) = kept.and_then(|kept| kept.output.as_deref()) {
            return Ok(output);
        }
        let which = self.name(at);
        Err(match kept.is_some_and(|kept| kept.too_much) {
            true => CallError::new(
                ErrorCode::PayloadTooLarge,
                format!("not run: results that calls refer to have more than {MAX_RESULTS} bytes; that of {which} did not fit"),
            )
            .with_rule(RULE_RESULTS),
            false => CallError::new(
                ErrorCode::Cancelled,
                format!("not run: it needs the result of {which}, which failed"),
            )
            .with_rule(RULE_DEPENDENCY),
        })
    }

    /// A call does not need the results that it refers to any more.
    fn release(&mut self, planned: &Planned<'_>) {
        let mut last = None;
        let mut needed: Vec<u32> = planned.references.iter().map(|(_, to)| *to).collect();
        needed.sort_unstable();
        for to in needed {
            if last.replace(to) == Some(to) {
                continue;
            }
            let Some(kept) = self.outputs.get_mut(&to) else {
                continue;
            };
            kept.users -= 1;
            if kept.users == 0 {
                self.kept -= kept.output.as_ref().map_or(0, |o| o.len());
                self.outputs.remove(&to);
            }
        }
    }

    /// Counts an outcome, and lets go who waited for it.
    fn ended(&mut self, at: u32, outcome: &Outcome) {
        let result = outcome.settled();
        match &result {
            Ok(payload) if !payload.is_error() => self.summary.succeeded += 1,
            _ => {
                self.summary.failed += 1;
                if self.batch.stop_on_error {
                    self.stopped_by.get_or_insert(at);
                }
            }
        }
        let dependants = &self.planned(at).dependants;
        if dependants.is_empty() {
            return;
        }
        let output = match &result {
            Ok(payload) if !payload.is_error() => payload.output(),
            _ => None,
        };
        let too_much = output.as_ref().is_some_and(|o| self.kept + o.len() > MAX_RESULTS);
        let output = output.filter(|_| !too_much).map(|o| Box::<str>::from(&*o));
        self.kept += output.as_ref().map_or(0, |o| o.len());
        let kept = Kept {
            output,
            users: dependants.len(),
            too_much,
        };
        self.outputs.insert(at, kept);
        for &next in dependants {
            let waits = &mut self.waits[next as usize];
            *waits -= 1;
            if *waits == 0 {
                self.ready.push(Reverse(next));
            }
        }
    }

    /// The outcome of a call that is not run, with its record.
    fn left_out(&self, at: u32, error: CallError) -> Outcome {
        let planned = self.planned(at);
        let call = Call {
            name: &planned.call.tool,
            arguments: planned.call.arguments,
            ..self.frame
        };
        let mut recorder = Recorder::start(self.gateway.observer(), &call);
        if let Credential::Proven(principal) = call.credential {
            recorder.principal = Some(principal.clone());
        }
        let (code, rule) = error.record();
        let latency = recorder.finish(Ending::Failed(code), rule, 0);
        Outcome {
            request_id: recorder.request_id,
            latency,
            standing: None,
            result: Err(error.with_issues(vec![Issue {
                pointer: format!("/requests/{at}"),
                message: "not run".into(),
            }])),
        }
    }

    fn name(&self, at: u32) -> String {
        match &self.planned(at).call.id {
            Some(id) => format!("call `{id}`"),
            None => format!("call {at}"),
        }
    }
}

/// Runs one call.
async fn one<'r>(
    gateway: &'r Gateway,
    frame: Call<'r>,
    planned: &'r Planned<'r>,
    start: Start<'r>,
) -> Outcome {
    let call = Call {
        name: &planned.call.tool,
        arguments: start.arguments.as_deref(),
        timeout: start.timeout,
        ..frame
    };
    gateway.call(&call).await
}
