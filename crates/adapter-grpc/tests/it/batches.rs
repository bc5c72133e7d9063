//! `BatchCall`.

use ferromcp_adapter_grpc::GrpcSettings;
use ferromcp_grpc_api::batch_call_response::Event;
use ferromcp_grpc_api::batch_result::Outcome;
use ferromcp_grpc_api::{BatchCallItem, BatchCallRequest, BatchResult, BatchSummary};
use tonic::{Code, Request, Status};

use crate::support::{PATIENCE, Server, told};

fn item(id: &str, tool: &str, arguments: &str) -> BatchCallItem {
    BatchCallItem {
        id: id.into(),
        tool: tool.into(),
        arguments: arguments.to_owned().into(),
        timeout_ms: 0,
    }
}

fn batch(calls: Vec<BatchCallItem>) -> BatchCallRequest {
    BatchCallRequest {
        calls,
        ..BatchCallRequest::default()
    }
}

/// All results as they came, and the summary.
async fn run(
    server: &Server,
    request: impl tonic::IntoRequest<BatchCallRequest>,
) -> Result<(Vec<BatchResult>, BatchSummary), Status> {
    let mut events = server.client().await.batch_call(request).await?.into_inner();
    let mut results = Vec::new();
    while let Some(event) = events.message().await? {
        match event.event.unwrap() {
            Event::Result(result) => results.push(result),
            Event::Summary(summary) => {
                assert!(
                    events.message().await?.is_none(),
                    "the summary is the last message"
                );
                return Ok((results, summary));
            }
        }
    }
    panic!("no summary after {results:?}");
}

fn said(result: &BatchResult) -> String {
    match result.outcome.as_ref().unwrap() {
        Outcome::Response(answer) => String::from_utf8(answer.result.to_vec()).unwrap(),
        Outcome::Failure(failure) => format!("{} {}", failure.reason, failure.rule),
    }
}

#[tokio::test]
async fn each_call_ends_on_its_own_and_may_need_another() {
    let server = Server::start(GrpcSettings::default()).await;
    let (results, summary) = run(
        &server,
        batch(vec![
            // Waits for the one behind it.
            item("b", "echo", "{\"msg\":{\"$result\":\"a\"}}"),
            item("a", "echo", " {\"msg\":\"hi\"}\n"),
            item("", "echo", "{\"msg\":7}"),
            item("", "fail", ""),
            item("", "none", "{}"),
        ]),
    )
    .await
    .unwrap();
    let places: Vec<_> = results.iter().map(|r| (r.index, &*r.id)).collect();
    assert_eq!(places, [(1, "a"), (0, "b"), (2, ""), (3, ""), (4, "")]);
    let text = "{\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}";
    assert_eq!((said(&results[0]), said(&results[1])), (text.into(), text.into()));
    let Some(Outcome::Failure(wrong)) = &results[2].outcome else {
        panic!("{:?}", results[2]);
    };
    assert_eq!(
        (
            wrong.status_code,
            &*wrong.reason,
            &*wrong.rule,
            wrong.may_have_run
        ),
        (
            Code::InvalidArgument as i32,
            "invalid_arguments",
            "schema.arguments",
            false
        )
    );
    assert_eq!(
        (&*wrong.violations[0].field, wrong.request_id.len()),
        ("/msg", 32)
    );
    let Some(Outcome::Response(failed)) = &results[3].outcome else {
        panic!("{:?}", results[3]);
    };
    assert!(failed.is_error);
    assert_eq!(said(&results[4]), "tool_not_found ");
    assert_eq!((summary.succeeded, summary.failed), (2, 3));
}

#[tokio::test]
async fn it_stops_at_an_error_where_it_is_to() {
    let server = Server::start(GrpcSettings::default()).await;
    let request = BatchCallRequest {
        stop_on_error: true,
        ..batch(vec![item("", "none", ""), item("", "echo", "{\"msg\":\"hi\"}")])
    };
    let (results, summary) = run(&server, request).await.unwrap();
    assert_eq!(said(&results[1]), "cancelled batch.stopped");
    assert_eq!((summary.succeeded, summary.failed), (0, 2));
}

#[tokio::test]
async fn what_cannot_be_a_batch_is_refused_with_the_place() {
    let server = Server::start(GrpcSettings::default()).await;
    let reference = |to: &str| format!("{{\"msg\":{{\"$result\":\"{to}\"}}}}");
    let good = || item("", "echo", "{\"msg\":\"hi\"}");
    for (request, code, rule, place) in [
        (
            batch(Vec::new()),
            Code::InvalidArgument,
            Some("batch.calls"),
            "/requests",
        ),
        (
            batch(vec![good(); 10_001]),
            Code::ResourceExhausted,
            Some("batch.calls"),
            "10001",
        ),
        (
            batch(vec![item("a", "echo", ""), item("a", "echo", "")]),
            Code::InvalidArgument,
            Some("batch.duplicate_id"),
            "/requests/1/id",
        ),
        (
            batch(vec![
                item("a", "echo", &reference("b")),
                item("b", "echo", &reference("a")),
            ]),
            Code::InvalidArgument,
            Some("batch.cycle"),
            "",
        ),
        (
            batch(vec![item("", "echo", &reference("nobody"))]),
            Code::InvalidArgument,
            Some("batch.reference"),
            "/requests/0/arguments",
        ),
        (
            batch(vec![good(), item("", "echo", "{\"msg\":")]),
            Code::InvalidArgument,
            None,
            "calls[1].arguments",
        ),
        (
            batch(vec![BatchCallItem {
                arguments: vec![b'{', 0xff, b'}'].into(),
                ..good()
            }]),
            Code::InvalidArgument,
            None,
            "calls[0].arguments",
        ),
        (
            BatchCallRequest {
                max_parallel: 101,
                ..batch(vec![good()])
            },
            Code::InvalidArgument,
            None,
            "max_parallel",
        ),
        (
            BatchCallRequest {
                max_parallel: -1,
                ..batch(vec![good()])
            },
            Code::InvalidArgument,
            None,
            "max_parallel",
        ),
    ] {
        let status = run(&server, request).await.unwrap_err();
        let (found, _, named) = told(&status);
        assert_eq!((found, named.as_deref()), (code, rule), "{status:?}");
        assert!(status.message().contains(place), "{status:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_or_waits_no_longer_ends_the_calls() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut dropped = server.dropped.clone();
    let waiting = || BatchCallRequest {
        max_parallel: 3,
        ..batch(vec![item("", "wait", ""); 3])
    };
    let mut events = server
        .client()
        .await
        .batch_call(waiting())
        .await
        .unwrap()
        .into_inner();
    // Nothing comes, as all three wait.
    let mut waits = server.waiting.clone();
    tokio::select! {
        begun = waits.wait_for(|count| *count == 3) => drop(begun.unwrap()),
        event = events.message() => panic!("{event:?}"),
    }
    drop(events);
    tokio::time::timeout(PATIENCE, dropped.wait_for(|count| *count == 3))
        .await
        .unwrap()
        .unwrap();

    let mut request = Request::new(waiting());
    request
        .metadata_mut()
        .insert("grpc-timeout", "50m".parse().unwrap());
    let (results, summary) = run(&server, request).await.unwrap();
    assert_eq!(said(&results[0]), "timeout deadline");
    assert_eq!((summary.succeeded, summary.failed), (0, 3));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_back_the_calls_and_not_the_others() {
    let server = Server::start(GrpcSettings::default()).await;
    let large = format!("{{\"msg\":\"{}\"}}", "x".repeat(20_000));
    let mut calls = vec![item("", "echo", "{\"msg\":{\"$result\":\"large\"}}"); 999];
    calls.push(item("large", "echo", &large));
    let request = batch(calls);
    let mut events = server
        .client()
        .await
        .batch_call(request)
        .await
        .unwrap()
        .into_inner();
    // The window of the stream and the queue hold a part of it.
    let begun = server.quiet().await;
    assert!(
        begun < 500,
        "{begun} calls were made for a client that reads nothing"
    );
    let (others, _) = run(&server, batch(vec![item("", "echo", "{\"msg\":\"hi\"}")]))
        .await
        .unwrap();
    assert_eq!(others.len(), 1);
    let mut count = 0;
    while let Some(event) = events.message().await.unwrap() {
        count += usize::from(matches!(event.event, Some(Event::Result(_))));
    }
    assert_eq!(count, 1_000);
}
