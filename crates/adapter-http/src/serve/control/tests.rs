use super::*;

const LIMITS: Limits = Limits {
    head: Duration::from_secs(2),
    idle: Duration::from_secs(5),
    rest: Duration::from_secs(1),
};

/// Lets seconds pass; says after how many of them the connection was told to close.
fn closed_after(control: &Control, seconds: u32) -> Option<u32> {
    (1..=seconds).find(|_| {
        let now = control.clock.tick();
        control.sweep(now, LIMITS);
        control.ordered() == Order::Close
    })
}

#[test]
fn a_first_head_is_due() {
    let control = Control::new(Arc::default());
    control.received();
    assert_eq!(closed_after(&control, 10), Some(3));
}

#[test]
fn an_answered_connection_may_idle_and_then_needs_a_head_in_time() {
    let control = Control::new(Arc::default());
    drop(control.busy());
    assert_eq!(closed_after(&control, 5), None);
    control.received();
    assert_eq!(closed_after(&control, 2), None);
    // More bytes of the same head do not buy time.
    control.received();
    assert_eq!(closed_after(&control, 10), Some(1));
}

#[test]
fn an_idle_connection_is_closed() {
    let control = Control::new(Arc::default());
    drop(control.busy());
    assert_eq!(closed_after(&control, 10), Some(6));
}

#[test]
fn a_busy_connection_has_time() {
    let control = Control::new(Arc::default());
    let busy = control.busy();
    control.received();
    assert_eq!(closed_after(&control, 100), None);
    drop(busy);
    assert_eq!(closed_after(&control, 100), Some(6));
}

#[test]
fn http2_stays_exempt_between_requests() {
    let control = Control::new(Arc::default());
    control.exempt();
    drop(control.busy());
    control.received();
    assert_eq!(closed_after(&control, 100), None);
}

#[test]
fn orders_only_become_stricter() {
    let control = Control::new(Arc::default());
    control.order(Order::Close);
    control.order(Order::Finish);
    assert_eq!(control.ordered(), Order::Close);
}

#[test]
fn buffers_are_given_back_when_nothing_is_in_them() {
    let control = Control::new(Arc::default());
    assert_eq!(closed_after(&control, 1), None);
    assert!(!control.may_rest(), "a head is due");
    drop(control.busy());
    assert_eq!(closed_after(&control, 1), None);
    assert!(!control.may_rest(), "it has not idled for long");
    assert_eq!(closed_after(&control, 1), None);
    control.written();
    assert!(!control.may_rest(), "an answer is not out yet");
    control.flushed();
    assert!(!control.may_rest(), "it was asked once");
    assert_eq!(closed_after(&control, 1), None);
    assert!(control.may_rest());
    assert_eq!(closed_after(&control, 1), None);
    assert!(!control.may_rest(), "it rests already");
    control.awake();
    control.received();
    assert_eq!(closed_after(&control, 1), None);
    assert!(!control.may_rest(), "a request has begun");
}
