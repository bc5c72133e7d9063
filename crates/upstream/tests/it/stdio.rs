use std::time::Duration;

use bytes::Bytes;
use ferromcp_protocol::lines::LineError;
use ferromcp_supervisor::{ChildSpec, ExitKind};
use ferromcp_upstream::transport::TransportError;
use ferromcp_upstream::transport::stdio::{End, Incoming, StdioIncoming, StdioTransport};

use crate::soon;

async fn sh(script: &str) -> (StdioTransport, StdioIncoming) {
    let mut spec = ChildSpec::new("files", "sh").args(["-c", script]);
    spec.limits.max_line = 1000;
    spec.limits.stop_grace = Duration::from_millis(300);
    StdioTransport::connect(spec).await.unwrap()
}

async fn message(incoming: &mut StdioIncoming) -> Bytes {
    match soon(incoming.next()).await {
        Incoming::Message(line) => line,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_go_and_come_one_per_line_whatever_their_layout() {
    let (transport, mut incoming) = sh("exec cat").await;
    transport
        .send(Bytes::from_static(b"{\n  \"a\": \"x\\n\"\r\n}"))
        .await
        .unwrap();
    assert_eq!(message(&mut incoming).await, "{   \"a\": \"x\\n\"  }");
    for i in 0..500 {
        transport.send(Bytes::from(i.to_string())).await.unwrap();
    }
    for i in 0..500 {
        assert_eq!(message(&mut incoming).await, i.to_string());
    }
    assert_eq!(soon(transport.close()).await.kind, ExitKind::Code(0));
    assert!(matches!(
        soon(incoming.next()).await,
        Incoming::End(End::Exited(_))
    ));
    assert!(matches!(
        soon(incoming.next()).await,
        Incoming::End(End::Exited(_))
    ));
}

#[tokio::test]
async fn refused_lines_are_items_of_their_own() {
    let script = "printf 'not json\\n\\377\\n'; head -c 5000 /dev/zero | tr '\\0' x; printf '\\nok\\nhalf'";
    let (_transport, mut incoming) = sh(script).await;
    assert_eq!(message(&mut incoming).await, "not json");
    assert!(matches!(
        soon(incoming.next()).await,
        Incoming::Refused(LineError::NotUtf8 { .. })
    ));
    assert!(matches!(
        soon(incoming.next()).await,
        Incoming::Refused(LineError::TooLong { limit: 1000, .. })
    ));
    assert_eq!(message(&mut incoming).await, "ok");
    assert!(
        matches!(soon(incoming.next()).await, Incoming::Refused(LineError::Unterminated { line }) if line == "half")
    );
    assert!(matches!(
        soon(incoming.next()).await,
        Incoming::End(End::Exited(_))
    ));
}

#[tokio::test]
async fn a_death_is_explained_to_reader_and_sender() {
    let (transport, mut incoming) = sh("echo last; echo 'no licence' >&2; exit 4").await;
    assert_eq!(message(&mut incoming).await, "last");
    let Incoming::End(End::Exited(exit)) = soon(incoming.next()).await else {
        panic!("no end")
    };
    assert_eq!(exit.kind, ExitKind::Code(4));
    let error = soon(transport.send(Bytes::from_static(b"{}"))).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("server `files` exited with code 4") && text.ends_with("last stderr: no licence"),
        "{text}"
    );
    assert!(matches!(error, TransportError::Closed { .. }));
}

#[tokio::test]
async fn a_child_that_closes_its_output_and_stays_is_told_apart() {
    let (transport, mut incoming) = sh("exec >&-; exec sleep 1000").await;
    assert!(matches!(
        soon(incoming.next()).await,
        Incoming::End(End::OutputClosed)
    ));
    assert!(transport.exit().get().is_none());
    soon(transport.close()).await;
    assert!(matches!(
        soon(incoming.next()).await,
        Incoming::End(End::Exited(_))
    ));
}

#[tokio::test]
async fn a_process_that_left_the_group_cannot_hold_up_the_end() {
    // It leaves the group, keeps stdout, and goes away by itself later.
    let script = "import os, time\nr, w = os.pipe()\nif os.fork() == 0:\n    os.setsid(); print('up', flush=True); os.write(w, b'x')\n    \
                  time.sleep(8); os._exit(0)\nos.read(r, 1)\nos._exit(0)";
    let spec = ChildSpec::new("files", "python3").args(["-c", script]);
    let (_transport, mut incoming) = StdioTransport::connect(spec).await.unwrap();
    assert_eq!(message(&mut incoming).await, "up");
    let begun = std::time::Instant::now();
    assert!(matches!(
        soon(incoming.next()).await,
        Incoming::End(End::Exited(_))
    ));
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "waited for the stranger"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_explains_itself() {
    let error = StdioTransport::connect(ChildSpec::new("files", "no-such-command-here"))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`files`") && text.contains("not found in PATH") && !error.may_have_run(),
        "{text}"
    );
}
