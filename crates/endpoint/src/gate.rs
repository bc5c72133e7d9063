//! Whether doors take connections: they stop doing so while another process takes over the sockets.

use tokio::sync::watch;

/// What doors do with their sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// They accept connections.
    #[default]
    Open,
    /// They accept none; connections that are there are served.
    Shut,
    /// Another process accepts them. Connections that are there are served to their end, and clients are asked to open new ones.
    Left,
}

/// Shared by all listeners of an endpoint.
#[derive(Debug)]
pub struct Gates {
    gate: watch::Sender<Gate>,
    /// Listeners that accept connections now.
    accepting: watch::Sender<usize>,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            gate: watch::Sender::new(Gate::Open),
            accepting: watch::Sender::new(0),
        }
    }
}

impl Gates {
    /// Tells all listeners.
    pub fn set(&self, gate: Gate) {
        self.gate.send_replace(gate);
    }

    /// What they were told last.
    pub fn get(&self) -> Gate {
        *self.gate.borrow()
    }

    /// Waits until no listener accepts connections.
    pub async fn quiet(&self) {
        // It lives as long as this does.
        let _ = self.accepting.subscribe().wait_for(|count| *count == 0).await;
    }

    /// For a listener.
    pub fn follow(&self) -> Follow<'_> {
        Follow {
            gates: self,
            gate: self.gate.subscribe(),
            counted: None,
        }
    }

    /// Waits until another process has the sockets.
    pub async fn left(&self) {
        // It lives as long as this does.
        let _ = self.gate.subscribe().wait_for(|gate| *gate == Gate::Left).await;
    }
}

/// A listener that accepts.
#[derive(Debug)]
struct Counted<'g>(&'g watch::Sender<usize>);

impl<'g> Counted<'g> {
    fn new(count: &'g watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// How one listener follows.
#[derive(Debug)]
pub struct Follow<'g> {
    gates: &'g Gates,
    gate: watch::Receiver<Gate>,
    counted: Option<Counted<'g>>,
}

impl Follow<'_> {
    /// What to do now. A listener asks before it accepts; after [`Gate::Shut`] it accepts nothing until it was told otherwise.
    pub fn now(&mut self) -> Gate {
        let gate = *self.gate.borrow_and_update();
        let accepts = gate == Gate::Open;
        if accepts != self.counted.is_some() {
            self.counted = accepts.then(|| Counted::new(&self.gates.accepting));
        }
        gate
    }

    /// Waits for a change. Cancel safe.
    pub async fn changed(&mut self) {
        let _ = self.gate.changed().await;
    }
}
