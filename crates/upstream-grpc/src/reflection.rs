//! What a server has: by reflection (v1, then v1alpha), or from a file of descriptors. All of it is bounded: it is somebody else's.

use std::collections::{HashSet, VecDeque};

use futures_util::stream;
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::FileDescriptorProto;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::channel::Channel;

/// Largest file of descriptors, and most bytes of descriptors from a server.
pub(crate) const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Most files of one server.
const MAX_FILES: usize = 5_000;
/// Most services of one server.
const MAX_SERVICES: usize = 1_000;

/// Descriptors, and the services that the server says it has; `None` if it was not asked.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) pool: DescriptorPool,
    pub(crate) services: Vec<String>,
}

/// A `FileDescriptorSet`, as `protoc --include_imports --descriptor_set_out` and `buf build -o` write it.
pub(crate) fn from_file(bytes: &[u8]) -> Result<Described, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, more than {MAX_BYTES}", bytes.len()));
    }
    let pool = DescriptorPool::decode(bytes).map_err(|e| {
        format!("it is no set of descriptors with all that they import (`protoc --include_imports`): {e}")
    })?;
    let services = pool
        .services()
        .map(|service| service.full_name().to_owned())
        .collect();
    Ok(Described { pool, services })
}

/// Asks the server.
pub(crate) async fn from_server(channel: &Channel) -> Result<Described, String> {
    match v1::ask(channel).await {
        Err(Unasked::Status(status)) if status.code() == Code::Unimplemented => {
            v1alpha::ask(channel).await.map_err(|e| e.text())
        }
        other => other.map_err(|e| e.text()),
    }
}

enum Unasked {
    Status(Box<Status>),
    Other(String),
}

impl Unasked {
    fn text(self) -> String {
        match self {
            Self::Status(status) if status.code() == Code::Unimplemented => {
                "it has no reflection; give a file of descriptors (`descriptors`)".to_owned()
            }
            Self::Status(status) => crate::status::words(&status),
            Self::Other(text) => text,
        }
    }
}

impl From<Status> for Unasked {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// The files that were received, and those that are still needed.
#[derive(Default)]
struct Files {
    names: HashSet<String>,
    protos: Vec<FileDescriptorProto>,
    wanted: VecDeque<String>,
    bytes: usize,
}

impl Files {
    fn take(&mut self, raw: &[u8]) -> Result<(), String> {
        self.bytes += raw.len();
        if self.bytes > MAX_BYTES || self.protos.len() >= MAX_FILES {
            return Err(format!(
                "its descriptors have more than {MAX_BYTES} bytes or {MAX_FILES} files"
            ));
        }
        let file = FileDescriptorProto::decode(raw)
            .map_err(|e| format!("what it says of itself cannot be read: {e}"))?;
        if !self.names.insert(file.name().to_owned()) {
            return Ok(());
        }
        self.wanted.extend(file.dependency.iter().cloned());
        self.protos.push(file);
        Ok(())
    }

    /// The next file to ask for.
    fn next(&mut self) -> Option<String> {
        while let Some(name) = self.wanted.pop_front() {
            if !self.names.contains(&name) {
                return Some(name);
            }
        }
        None
    }

    /// A file that the server does not give: those of protobuf itself are known here.
    fn missing(&mut self, name: &str) -> Result<(), String> {
        let known = DescriptorPool::global().get_file_by_name(name).ok_or_else(|| {
            format!(
                "it refers to the file {} and does not have it",
                name.escape_debug()
            )
        })?;
        self.take(&known.encode_to_vec())
    }

    fn pool(self) -> Result<DescriptorPool, String> {
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(self.protos)
            .map_err(|e| format!("what it says of itself does not fit together: {e}"))?;
        Ok(pool)
    }
}

/// Both versions are the same but for their names.
macro_rules! version {
    ($version:ident) => {
        mod $version {
            use tonic::Streaming;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest as Ask;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse as Told;
            use tonic_reflection::pb::$version::{ServerReflectionRequest, ServerReflectionResponse};

            use super::{
                Channel, Code, Described, Files, MAX_BYTES, MAX_SERVICES, Status, Unasked, mpsc, stream,
            };

            struct Talk {
                ask: mpsc::Sender<ServerReflectionRequest>,
                told: Streaming<ServerReflectionResponse>,
            }

            impl Talk {
                async fn ask(&mut self, what: Ask) -> Result<Told, Unasked> {
                    let request = ServerReflectionRequest {
                        host: String::new(),
                        message_request: Some(what),
                    };
                    // An error shows in the answer.
                    let _ = self.ask.send(request).await;
                    let answer = self.told.message().await?;
                    answer
                        .and_then(|answer| answer.message_response)
                        .ok_or_else(|| Unasked::Other("it broke off its reflection".to_owned()))
                }

                async fn file(&mut self, files: &mut Files, what: Ask) -> Result<bool, Unasked> {
                    match self.ask(what).await? {
                        Told::FileDescriptorResponse(answer) => {
                            for raw in answer.file_descriptor_proto {
                                files.take(&raw).map_err(Unasked::Other)?;
                            }
                            Ok(true)
                        }
                        Told::ErrorResponse(error) if error.error_code == Code::NotFound as i32 => Ok(false),
                        Told::ErrorResponse(error) => {
                            Err(Status::new(Code::from(error.error_code), error.error_message).into())
                        }
                        _ => Err(Unasked::Other(
                            "its reflection answers something else".to_owned(),
                        )),
                    }
                }
            }

            pub(super) async fn ask(channel: &Channel) -> Result<Described, Unasked> {
                let (ask, requests) = mpsc::channel(1);
                let requests = stream::unfold(requests, |mut requests| async {
                    requests.recv().await.map(|request| (request, requests))
                });
                let origin = channel.http.origin().clone();
                let mut client = ServerReflectionClient::with_origin(channel.clone(), origin)
                    .max_decoding_message_size(MAX_BYTES);
                // A server may wait for the first request before it answers.
                let first = ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(Ask::ListServices(String::new())),
                };
                let _ = ask.send(first).await;
                let mut told = client.server_reflection_info(requests).await?.into_inner();
                let listed = told
                    .message()
                    .await?
                    .and_then(|answer| answer.message_response);
                let Some(Told::ListServicesResponse(listed)) = listed else {
                    return Err(Unasked::Other(
                        "its reflection lists no services".to_owned(),
                    ));
                };
                let services: Vec<String> = listed
                    .service
                    .into_iter()
                    .map(|service| service.name)
                    .collect();
                if services.len() > MAX_SERVICES {
                    return Err(Unasked::Other(format!(
                        "it has more than {MAX_SERVICES} services"
                    )));
                }
                let (mut talk, mut files) = (Talk { ask, told }, Files::default());
                let mut there = Vec::with_capacity(services.len());
                for service in services {
                    // One that it cannot describe cannot be called.
                    if talk
                        .file(&mut files, Ask::FileContainingSymbol(service.clone()))
                        .await?
                    {
                        there.push(service);
                    }
                }
                while let Some(name) = files.next() {
                    if !talk
                        .file(&mut files, Ask::FileByFilename(name.clone()))
                        .await?
                    {
                        files.missing(&name).map_err(Unasked::Other)?;
                    }
                }
                Ok(Described {
                    pool: files.pool().map_err(Unasked::Other)?,
                    services: there,
                })
            }
        }
    };
}

version!(v1);
version!(v1alpha);
