//! What goes wrong.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::json;

use super::client::{Answer, Client};
use super::remote::Mood;
use super::report::{Invariant, Report};
use super::rig::{Rig, children_of};
use super::{Random, eventually, pause};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    KillChild,
    KillWrapper,
    KillGrandchild,
    KillHelper,
    Freeze,
    CloseOutput,
    CloseInput,
    Garbage,
    Slow,
    RemoteDown,
    RemoteFails,
    RemoteForgets,
    RemoteBreaks,
    TlsUntrusted,
    TlsBreaks,
    KillGateway,
}

impl Fault {
    pub(super) const ALL: [Self; 16] = [
        Self::KillChild,
        Self::KillWrapper,
        Self::KillGrandchild,
        Self::KillHelper,
        Self::Freeze,
        Self::CloseOutput,
        Self::CloseInput,
        Self::Garbage,
        Self::Slow,
        Self::RemoteDown,
        Self::RemoteFails,
        Self::RemoteForgets,
        Self::RemoteBreaks,
        Self::TlsUntrusted,
        Self::TlsBreaks,
        Self::KillGateway,
    ];

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::KillChild => "kill -9 a server",
            Self::KillWrapper => "kill -9 the shell around a server",
            Self::KillGrandchild => "kill -9 a server behind a shell",
            Self::KillHelper => "kill -9 what a server started",
            Self::Freeze => "freeze a server (SIGSTOP)",
            Self::CloseOutput => "a server closes its output",
            Self::CloseInput => "a server stops reading its input",
            Self::Garbage => "a server writes garbage",
            Self::Slow => "a server is slow",
            Self::RemoteDown => "a server at a URL goes down",
            Self::RemoteFails => "a server at a URL answers 500",
            Self::RemoteForgets => "a server at a URL forgets the session",
            Self::RemoteBreaks => "a server at a URL cuts answers off",
            Self::TlsUntrusted => "a server at a URL shows a false certificate",
            Self::TlsBreaks => "a server at a URL breaks TLS handshakes off",
            Self::KillGateway => "kill -9 the gateway",
        }
    }

    /// The server that it happens to.
    pub(super) fn target(self) -> &'static str {
        match self {
            Self::KillWrapper | Self::KillGrandchild => "wrapped",
            Self::RemoteDown | Self::RemoteFails | Self::RemoteForgets | Self::RemoteBreaks => "remote",
            Self::TlsUntrusted | Self::TlsBreaks => "secure",
            _ => "direct",
        }
    }
}

impl Rig {
    /// Makes it happen, and everything well again where that is not the gateway's business.
    pub(super) fn inject(
        &mut self,
        fault: Fault,
        random: &mut Random,
        report: &mut Report,
    ) -> std::io::Result<()> {
        let pids = self.pids(fault.target());
        match fault {
            Fault::KillChild | Fault::KillWrapper => self.kill_under_a_call(fault, &pids, report),
            Fault::KillGrandchild => {
                for pid in pids.iter().flat_map(|pid| children_of(*pid)) {
                    signal(pid, Signal::KILL);
                }
            }
            Fault::KillHelper => {
                for pid in pids.iter().flat_map(|pid| children_of(*pid)) {
                    signal(pid, Signal::KILL);
                }
            }
            Fault::Freeze => {
                for pid in pids {
                    signal(pid, Signal::STOP);
                }
            }
            Fault::CloseOutput => self.misbehave("close"),
            Fault::CloseInput => self.misbehave("deafen"),
            Fault::Garbage => self.misbehave("garbage"),
            Fault::Slow => self.misbehave("slow"),
            Fault::RemoteDown => {
                self.remote.go_down();
                pause(Duration::from_millis(100 + random.next() % 400));
                self.remote.come_up()?;
            }
            Fault::RemoteFails => self.mood_for(Mood::Failing, random),
            Fault::RemoteBreaks => self.mood_for(Mood::Breaking, random),
            Fault::RemoteForgets => self.remote.forget(),
            Fault::TlsUntrusted => self.no_tls(Mood::Untrusted, fault, random, report),
            Fault::TlsBreaks => self.no_tls(Mood::Silent, fault, random, report),
            Fault::KillGateway => self.kill_gateway(report)?,
        }
        Ok(())
    }

    fn mood_for(&self, mood: Mood, random: &mut Random) {
        self.remote.set_mood(mood);
        pause(Duration::from_millis(100 + random.next() % 400));
        self.remote.set_mood(Mood::Well);
    }

    /// For as long as the server is not who it should be, or says nothing, no call may get through, and each is refused: after the
    /// 5 s at most that a call which changes nothing waits for the server to come back.
    fn no_tls(&self, mood: Mood, fault: Fault, random: &mut Random, report: &mut Report) {
        self.secure.set_mood(mood);
        self.secure.cut_off();
        let mut client = Client::new(self.address());
        let end = Instant::now() + Duration::from_millis(100 + random.next() % 400);
        while Instant::now() < end {
            let since = Instant::now();
            let answer = client.call("secure__echo", &json!({ "n": 7 }));
            let how = || format!("{}: {answer:?} after {:?}", fault.words(), since.elapsed());
            match &answer {
                Answer::Refused { .. } if since.elapsed() < Duration::from_secs(10) => {}
                Answer::Text(_) => report.violated(Invariant::NoWrongAnswer, how()),
                _ => report.violated(Invariant::FailsAtOnce, how()),
            }
            pause(Duration::from_millis(20));
        }
        self.secure.set_mood(Mood::Well);
    }

    /// Its answer, if there is one, is of no interest; whether the gateway survives it is.
    fn misbehave(&self, how: &str) {
        let (mut client, how) = (Client::new(self.address()), how.to_owned());
        let call = std::thread::Builder::new()
            .spawn(move || client.call("direct__misbehave", &json!({ "how": how })));
        if let Ok(call) = call {
            let _ = call.join();
        }
    }

    /// Kills all workers of a server while a call without an end is in flight, and looks at how that call ends.
    fn kill_under_a_call(&self, fault: Fault, pids: &[u32], report: &mut Report) {
        let mut client = Client::new(self.address());
        let tool = format!("{}__long", fault.target());
        let call = std::thread::Builder::new().spawn(move || {
            let answer = client.call(&tool, &json!({ "n": 1 }));
            (answer, Instant::now())
        });
        let Ok(call) = call else { return };
        // It is the only call that lasts.
        let busy = eventually(|| {
            pause(Duration::from_millis(40));
            (self.in_flight(fault.target()) > 0).then_some(())
        });
        if busy.is_none() {
            report.violated(
                Invariant::FailsAtOnce,
                format!("{}: the call did not begin", fault.words()),
            );
        }
        pause(Duration::from_millis(100));
        let mut all = self.pids(fault.target());
        all.extend(pids);
        let since = Instant::now();
        for pid in all {
            signal(pid, Signal::KILL);
        }
        match call.join() {
            Ok((
                Answer::Refused {
                    rule,
                    may_have_run: true,
                    ..
                },
                at,
            )) if rule == "upstream.died" => {
                let took = at.saturating_duration_since(since);
                report.took("a call in flight fails after its server died", took);
                if took > Duration::from_secs(5) {
                    report.violated(
                        Invariant::FailsAtOnce,
                        format!("{}: after {took:?}", fault.words()),
                    );
                }
            }
            other => report.violated(Invariant::FailsAtOnce, format!("{}: {other:?}", fault.words())),
        }
    }
}

pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process(pid, signal);
    }
}
