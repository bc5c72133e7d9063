//! The log changes hands while calls run: a process that goes lets go of the files, one that comes opens them, and what the
//! first still has to record goes into the log of the second. There is one writer at any time, and one chain.

use std::io;
use std::sync::{Arc, mpsc};

use crate::audit::{Audit, AuditWriter};
use crate::error::Unavailable;
use crate::log::Log;
use crate::queue::Queue;
use crate::record::{Copied, LineKind, Prepared, Record};
use crate::recover::Opened;
use crate::wait::Durable;
use crate::writer::Writer;

/// Number of the form in which records are handed on; processes with different ones cannot hand a log over.
pub const FORMAT: u32 = 1;

/// Takes the records of a process that has let go of its log.
pub trait Heir: Send {
    /// Takes records, as [`Audit::hand_in`] reads them. They are durable when it returns.
    ///
    /// # Errors
    /// The other side is gone. The records are then written to the files, which are opened again.
    fn take(&mut self, records: &[u8]) -> io::Result<()>;
}

/// Opens the files again.
pub(crate) type Reopen = Box<dyn Fn() -> io::Result<Opened> + Send>;

/// What the writer is told to do.
pub(crate) enum Order {
    LetGo(Box<dyn Heir>, Told),
    TakeBack(Told),
}

type Told = mpsc::SyncSender<Result<(), Unavailable>>;

impl AuditWriter {
    /// What hands the log over.
    #[must_use]
    pub fn handover(&self) -> Handover {
        Handover(self.shared_queue())
    }
}

/// Hands a running log over to another process.
#[derive(Clone, Debug)]
pub struct Handover(Arc<Queue>);

impl Handover {
    /// Writes and signs what there is, and lets go of the files, so that another process can open them with
    /// [`Config::handed`](crate::Config::handed). From then on records go to `heir`. Blocks.
    ///
    /// # Errors
    /// Not everything could be written, or the log is not kept in files of a directory; nothing has changed then.
    pub fn let_go(&self, heir: Box<dyn Heir>) -> Result<(), Unavailable> {
        self.order(|told| Order::LetGo(heir, told))
    }

    /// Opens the files again: the other process did not take over. Blocks.
    ///
    /// # Errors
    /// They cannot be opened. Records wait, and the log tries again by itself.
    pub fn take_back(&self) -> Result<(), Unavailable> {
        self.order(Order::TakeBack)
    }

    fn order(&self, order: impl FnOnce(Told) -> Order) -> Result<(), Unavailable> {
        let (told, answer) = mpsc::sync_channel(1);
        self.0.give(order(told));
        answer.recv().unwrap_or_else(|_| {
            Err(Unavailable {
                reason: "its writer ended".to_owned(),
            })
        })
    }
}

impl Audit {
    /// Takes records of the process that had the log before, in the order in which they are given.
    ///
    /// # Errors
    /// They are no records, or the log is closed.
    pub fn hand_in(&self, records: &[u8]) -> Result<Durable, Unavailable> {
        let unavailable = |reason: &str| Unavailable {
            reason: reason.to_owned(),
        };
        let (mut rest, mut last) = (records, None);
        while let Some((record, behind)) = Copied::split(rest) {
            let taken = self.queue().hand_in(record.bytes());
            last = Some(taken.map_err(|e| unavailable(&e.to_string()))?);
            rest = behind;
        }
        match last {
            Some(ticket) if rest.is_empty() => Ok(self.durable(ticket)),
            _ => Err(unavailable("what was handed in is not records")),
        }
    }
}

/// Where records go that are not written here.
#[derive(Default)]
pub(crate) struct Away {
    /// `None`: to nobody, until the files are open again.
    heir: Option<Box<dyn Heir>>,
    /// What it did not confirm yet.
    records: Vec<u8>,
}

impl Away {
    pub(crate) const fn is_delivered(&self) -> bool {
        self.heir.is_some() && self.records.is_empty()
    }
}

impl Writer {
    /// Does what was ordered since the last time.
    pub(crate) fn obey(&mut self) {
        match self.queue.take_order() {
            None => {}
            Some(Order::LetGo(heir, told)) => {
                // Whoever ordered it may be gone.
                let _ = told.send(self.let_go(heir));
            }
            Some(Order::TakeBack(told)) => {
                let _ = told.send(self.come_back());
            }
        }
    }

    fn let_go(&mut self, heir: Box<dyn Heir>) -> Result<(), Unavailable> {
        if self.away.is_some() || (self.log.has_files() && self.reopen.is_none()) {
            return Err(Unavailable {
                reason: "it cannot be handed over".to_owned(),
            });
        }
        self.drain();
        self.log.checkpoint(self.now.wall_us, "close");
        self.commit();
        self.show();
        if let Some(failing) = &self.failing {
            return Err(Unavailable {
                reason: failing.reason.clone(),
            });
        }
        self.log.let_go_of_files();
        // Their ends will be written by the other process: it has to know of them, should it be killed before.
        let records = self.open.records().flatten().copied().collect();
        self.open = crate::journal::Journal::default();
        self.away = Some(Away {
            heir: Some(heir),
            records,
        });
        Ok(())
    }

    /// Hands on what waits. Whether there was anything.
    pub(crate) fn forward(&mut self) -> bool {
        let Some(mut away) = self.away.take() else {
            return false;
        };
        if away.heir.is_some() || away.records.len() < crate::writer::MAX_WAITING {
            let dropped = self.collect(|_, record| away.records.extend_from_slice(record.bytes()));
            if dropped > 0 {
                tracing::warn!(dropped, "audit records found no room and are lost");
                let record = Record {
                    note: Some("the queue was full"),
                    ..Record::new(
                        crate::Kind::Marker,
                        crate::text::from_micros(self.now.wall_us),
                        "audit",
                        "ok",
                    )
                };
                Prepared::own(&record, LineKind::Dropped, dropped, self.queue.rule).copy(&mut away.records);
            }
        }
        let found = !away.records.is_empty();
        if found && let Some(heir) = &mut away.heir {
            match heir.take(&away.records) {
                Ok(()) => {
                    away.records.clear();
                    self.confirmed();
                }
                Err(error) => {
                    tracing::warn!(%error, "the process that took the audit log over is gone");
                    away.heir = None;
                }
            }
        }
        let alone = away.heir.is_none();
        self.away = Some(away);
        if alone && self.may_try() {
            // What went wrong is told by the log's state.
            let _ = self.come_back();
        }
        found
    }

    /// Opens the files again and writes what waits.
    pub(crate) fn come_back(&mut self) -> Result<(), Unavailable> {
        let Some(mut away) = self.away.take() else {
            return Ok(());
        };
        let opened = self.reopen.as_ref().map(|reopen| reopen()).transpose();
        match opened {
            Ok(opened) => {
                if let Some(opened) = opened {
                    self.log.adopt(opened.chain, opened.store);
                }
                self.own(LineKind::Start, 0, "ferromcp-audit v1");
                let mut rest = &away.records[..];
                while let Some((record, behind)) = Copied::split(rest) {
                    self.append(&record);
                    rest = behind;
                }
                self.commit();
                Ok(())
            }
            Err(error) => {
                away.heir = None;
                self.away = Some(away);
                self.fail(&error);
                Err(Unavailable {
                    reason: error.to_string(),
                })
            }
        }
    }
}

impl Log {
    fn has_files(&self) -> bool {
        self.store.is_some()
    }

    /// The lock goes with the files.
    fn let_go_of_files(&mut self) {
        self.store = None;
    }

    fn adopt(&mut self, chain: crate::line::Chain, store: crate::log::Store) {
        self.chain = chain;
        self.store = Some(store);
        self.carried = (0, 0);
    }
}

impl Queue {
    /// Orders the writer to do something.
    fn give(&self, order: Order) {
        let mut orders = self.orders();
        // Under the lock: a writer that ends lets go of all orders.
        if !self.is_closed() {
            orders.push_back(order);
        }
        drop(orders);
        self.hurry();
    }

    fn take_order(&self) -> Option<Order> {
        self.orders().pop_front()
    }
}

#[cfg(test)]
mod tests;
