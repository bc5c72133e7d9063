//! Calls, lists, credentials, deadlines, health and reflection.

use std::sync::Arc;

use ferromcp_adapter_grpc::{Doors, serve};
use ferromcp_core::{Gateway, Identity, Policy};
use ferromcp_endpoint::{Endpoint as McpEndpoint, EndpointSettings};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use ferromcp_adapter_grpc::GrpcSettings;
use ferromcp_grpc_api::call_tool_stream_response::Event;
use ferromcp_grpc_api::ferro_mcp_service_client::FerroMcpServiceClient;
use ferromcp_grpc_api::{CallToolRequest, ListToolsRequest};
use ferromcp_limits::Rate;
use serde_json::{Value, json};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::support::{PATIENCE, Server, call, guard, stream, told};

#[tokio::test]
async fn a_call_and_a_list() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut client = server.client().await;
    let answer = client
        .call_tool(call("echo", "{\"msg\":\"hi\"}"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        &answer.result[..],
        b"{\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}"
    );
    assert!(!answer.is_error);
    assert_eq!(answer.request_id.len(), 32);
    let failed = client.call_tool(call("fail", "")).await.unwrap().into_inner();
    assert!(failed.is_error, "{failed:?}");

    let page = ListToolsRequest {
        page_size: 3,
        page_token: String::new(),
    };
    let first = client.list_tools(page).await.unwrap().into_inner();
    let rest = ListToolsRequest {
        page_size: 0,
        page_token: first.next_page_token,
    };
    let rest = client.list_tools(rest).await.unwrap().into_inner();
    let names: Vec<_> = first
        .tools
        .iter()
        .chain(&rest.tools)
        .map(|tool| &*tool.name)
        .collect();
    assert_eq!(
        (names, &*rest.next_page_token),
        (vec!["echo", "fail", "tell", "wait"], "")
    );
    let definition: Value = serde_json::from_slice(&first.tools[0].definition).unwrap();
    assert_eq!(definition["inputSchema"]["required"], json!(["msg"]));
}

#[tokio::test]
async fn errors_are_those_of_the_table() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut client = server.client().await;
    for (request, code, reason) in [
        (call("none", "{}"), Code::NotFound, "tool_not_found"),
        (call("echo", "{}"), Code::InvalidArgument, "invalid_arguments"),
        (call("echo", "{"), Code::InvalidArgument, "invalid_arguments"),
        (
            call("echo", "{\"msg\":\"a\",\"msg\":\"b\"}"),
            Code::InvalidArgument,
            "invalid_arguments",
        ),
    ] {
        let status = client.call_tool(request.clone()).await.unwrap_err();
        let (found, why, _) = told(&status);
        assert_eq!((found, &*why), (code, reason), "{request:?}: {status:?}");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["request_id"].len(), 32);
    }
    let wrong = client.call_tool(call("echo", "{\"msg\":1}")).await.unwrap_err();
    let details = wrong.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "/msg");
}

#[tokio::test]
async fn what_is_no_text_or_too_large_is_refused() {
    let settings = GrpcSettings {
        max_message: 2_000,
        ..GrpcSettings::default()
    };
    let server = Server::start(settings).await;
    let mut client = server.client().await;
    let mut bytes = call("echo", "");
    bytes.arguments = vec![b'{', 0xff, b'}'].into();
    let status = client.call_tool(bytes).await.unwrap_err();
    assert_eq!(told(&status).1, "invalid_request");
    let large = call("echo", &format!("{{\"msg\":\"{}\"}}", "x".repeat(2_000)));
    let status = client.call_tool(large.clone()).await.unwrap_err();
    assert_eq!(
        told(&status),
        (Code::ResourceExhausted, "payload_too_large".into(), None)
    );
    // Small on the wire, large when unpacked.
    let mut packed = server.client().await.send_compressed(CompressionEncoding::Gzip);
    let status = packed.call_tool(large).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let small = call("echo", "{\"msg\":\"hi\"}");
    packed.call_tool(small).await.unwrap();
}

#[tokio::test]
async fn a_stream_tells_and_then_has_the_result() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut client = server.client().await;
    let mut events = client
        .call_tool_stream(stream("tell", 5))
        .await
        .unwrap()
        .into_inner();
    let mut seen = Vec::new();
    while let Some(event) = events.message().await.unwrap() {
        seen.push(match event.event.unwrap() {
            Event::Progress(report) => format!("{} of {:?}", report.progress, report.total),
            Event::Log(log) => format!("{} {}", log.level, String::from_utf8(log.data.to_vec()).unwrap()),
            Event::Result(answer) => String::from_utf8(answer.result.to_vec()).unwrap(),
        });
    }
    let result = "{\"content\":[{\"type\":\"text\",\"text\":\"told\"}]}";
    let progress = [1, 2, 3].map(|step| format!("{step} of Some(3.0)"));
    let mut wanted = progress.to_vec();
    wanted.extend(["5 { \"line\":1.0 }".to_owned(), result.to_owned()]);
    assert_eq!(seen, wanted);

    let status = client.call_tool_stream(stream("tell", 9)).await.unwrap_err();
    assert_eq!(told(&status).1, "invalid_request");
    let mut events = client
        .call_tool_stream(stream("none", 0))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(told(&events.message().await.unwrap_err()).1, "tool_not_found");
}

#[tokio::test]
async fn deadlines_and_dropped_streams_end_the_call() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut dropped = server.dropped.clone();
    let mut client = server.client().await;
    // The client's library looks at it too, and may give up first: then there are no details.
    let mut request = Request::new(call("wait", ""));
    request
        .metadata_mut()
        .insert("grpc-timeout", "50m".parse().unwrap());
    let status = client.call_tool(request).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    tokio::time::timeout(PATIENCE, dropped.wait_for(|count| *count == 1))
        .await
        .unwrap()
        .unwrap();
    let mut bad = Request::new(call("echo", "{\"msg\":\"\"}"));
    bad.metadata_mut().insert("grpc-timeout", "50".parse().unwrap());
    assert_eq!(
        client.call_tool(bad).await.unwrap_err().code(),
        Code::InvalidArgument
    );

    let mut events = client
        .call_tool_stream(stream("wait", 0))
        .await
        .unwrap()
        .into_inner();
    assert!(matches!(
        events.message().await.unwrap().unwrap().event,
        Some(Event::Progress(_))
    ));
    drop(events);
    tokio::time::timeout(PATIENCE, dropped.wait_for(|count| *count == 2))
        .await
        .unwrap()
        .unwrap();
}

fn with(name: &'static str, value: &str) -> Request<CallToolRequest> {
    let mut request = Request::new(call("echo", "{\"msg\":\"hi\"}"));
    request.metadata_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn keys_are_looked_at_and_guesses_are_counted() {
    let settings = GrpcSettings {
        guesses: Rate::new(1, Duration::from_secs(3_600), 3).ok(),
        ..GrpcSettings::default()
    };
    let server = Server::start(settings).await;
    let key = guard(&server);
    let mut client = server.client().await;
    let none = client
        .call_tool(call("echo", "{\"msg\":\"hi\"}"))
        .await
        .unwrap_err();
    assert_eq!(
        told(&none),
        (
            Code::Unauthenticated,
            "unauthenticated".into(),
            Some("auth.missing".into())
        )
    );
    client.call_tool(with("x-api-key", &key)).await.unwrap();
    for malformed in ["Basic abc", "Bearer "] {
        let status = client
            .call_tool(with("authorization", malformed))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    for _ in 0..3 {
        let status = client.call_tool(with("x-api-key", "wrong")).await.unwrap_err();
        assert_eq!(told(&status).2.as_deref(), Some("auth.key.unknown"));
    }
    let status = client.call_tool(with("x-api-key", "wrong")).await.unwrap_err();
    assert_eq!(
        told(&status),
        (
            Code::ResourceExhausted,
            "rate_limited".into(),
            Some("auth.guesses".into())
        )
    );
    assert!(
        status
            .get_error_details()
            .retry_info()
            .unwrap()
            .retry_delay
            .is_some()
    );
    // What was good from here stays good.
    client.call_tool(with("x-api-key", &key)).await.unwrap();
}

#[tokio::test]
async fn health_reflection_and_the_end() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

    let server = Server::start(GrpcSettings::default()).await;
    let channel = server.channel().await;
    let mut health = HealthClient::new(channel.clone());
    let mut watched = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let serving = watched.message().await.unwrap().unwrap();
    assert_eq!(serving.status(), ServingStatus::Serving);

    let ask = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let asks = tonic::codegen::tokio_stream::iter([ask]);
    let mut answers = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(asks)
        .await
        .unwrap()
        .into_inner();
    let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "ferromcp.v1.FerroMcpService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection"
        ]
    );

    server.gateway.refuse_new();
    let ended = watched.message().await.unwrap().unwrap();
    assert_eq!(ended.status(), ServingStatus::NotServing);
    let mut client = FerroMcpServiceClient::new(channel);
    let late = client
        .call_tool(call("echo", "{\"msg\":\"hi\"}"))
        .await
        .unwrap_err();
    assert_eq!(told(&late).0, Code::Unavailable);
    server.stop.cancel();
    tokio::time::timeout(PATIENCE, server.task)
        .await
        .unwrap()
        .unwrap();
    assert!(watched.message().await.unwrap_or_default().is_none());
}

/// Several listeners with the same doors, each on a runtime of its own: they end, however drain and stop fall together.
#[test]
fn listeners_that_share_the_doors_all_end() {
    for round in 0..100 {
        let gateway = Arc::new(Gateway::new(Identity::default(), Policy::default(), ()));
        let endpoint = Arc::new(McpEndpoint::new(
            Arc::clone(&gateway),
            EndpointSettings::default(),
        ));
        let doors = Doors::new(endpoint, GrpcSettings::default(), None).unwrap();
        let stop = CancellationToken::new();
        let (ended, all) = std::sync::mpsc::sync_channel(3);
        for _ in 0..3 {
            let (doors, stop, ended) = (doors.clone(), stop.clone(), ended.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    serve(listener, doors, stop).await;
                });
                ended.send(()).unwrap();
            });
        }
        if round % 2 == 0 {
            std::thread::yield_now();
        }
        gateway.refuse_new();
        stop.cancel();
        for _ in 0..3 {
            all.recv_timeout(PATIENCE).expect("each listener ends");
        }
    }
}
