//! Content blocks: what tools and prompts answer with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferromcp_protocol::json;
use serde::Serialize;
use serde_json::Value;

/// One block of content (2026-07-28 server/tools, "Tool Result").
///
/// ```
/// use ferromcp::{Audience, Content};
///
/// let blocks = vec![
///     Content::text("Here is the chart:"),
///     Content::image(b"...", "image/png").audience(Audience::User).priority(0.9),
/// ];
/// assert_eq!(blocks[0].as_text(), Some("Here is the chart:"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    body: Body,
    extra: Option<Box<Extra>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Text(String),
    /// `type`, base64 data, MIME type.
    Data(&'static str, String, String),
    Link(Box<Link>),
    Resource(Box<ResourceContents>),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Extra {
    annotations: Annotations,
    meta: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
struct Link {
    uri: String,
    name: String,
    description: Option<String>,
    mime_type: Option<String>,
}

/// For whom something is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// Hints for clients on what a block or resource is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Annotations {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) audience: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_modified: Option<String>,
}

impl Annotations {
    pub(crate) fn for_audience(&mut self, audience: Audience) {
        self.audience.push(match audience {
            Audience::User => "user",
            Audience::Assistant => "assistant",
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Content {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Body::Text(text.into()))
    }

    /// An image from its bytes.
    pub fn image(bytes: impl AsRef<[u8]>, mime_type: impl Into<String>) -> Self {
        Self::image_base64(STANDARD.encode(bytes), mime_type)
    }

    /// An image that is base64 already.
    pub fn image_base64(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::new(Body::Data("image", data.into(), mime_type.into()))
    }

    /// A sound from its bytes.
    pub fn audio(bytes: impl AsRef<[u8]>, mime_type: impl Into<String>) -> Self {
        Self::audio_base64(STANDARD.encode(bytes), mime_type)
    }

    /// A sound that is base64 already.
    pub fn audio_base64(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::new(Body::Data("audio", data.into(), mime_type.into()))
    }

    /// A link to a resource that the client may read (since 2025-06-18).
    pub fn link(uri: impl Into<String>, name: impl Into<String>) -> Self {
        let (uri, name) = (uri.into(), name.into());
        Self::new(Body::Link(Box::new(Link {
            uri,
            name,
            description: None,
            mime_type: None,
        })))
    }

    /// A link with a description and a MIME type.
    pub fn link_with(
        uri: impl Into<String>,
        name: impl Into<String>,
        description: impl Into<String>,
        mime_type: impl Into<String>,
    ) -> Self {
        Self::new(Body::Link(Box::new(Link {
            uri: uri.into(),
            name: name.into(),
            description: Some(description.into()),
            mime_type: Some(mime_type.into()),
        })))
    }

    /// The contents of a resource, embedded.
    pub fn resource(contents: ResourceContents) -> Self {
        Self::new(Body::Resource(Box::new(contents)))
    }

    fn new(body: Body) -> Self {
        Self { body, extra: None }
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Says for whom it is; may be called twice.
    #[must_use]
    pub fn audience(mut self, audience: Audience) -> Self {
        self.extra().annotations.for_audience(audience);
        self
    }

    /// How important it is, from 0 (optional) to 1 (required).
    #[must_use]
    pub fn priority(mut self, priority: f64) -> Self {
        self.extra().annotations.priority = Some(priority.clamp(0.0, 1.0));
        self
    }

    /// When it last changed, in ISO 8601.
    #[must_use]
    pub fn last_modified(mut self, time: impl Into<String>) -> Self {
        self.extra().annotations.last_modified = Some(time.into());
        self
    }

    /// Sets `_meta`, a JSON object.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.extra().meta = Some(meta);
        self
    }

    /// The text of a text block.
    pub fn as_text(&self) -> Option<&str> {
        match &self.body {
            Body::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match &self.body {
            Body::Text(text) => {
                out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                json::write_str(out, text);
            }
            Body::Data(kind, data, mime) => {
                out.extend_from_slice(b"{\"type\":\"");
                out.extend_from_slice(kind.as_bytes());
                out.extend_from_slice(b"\",\"data\":");
                json::write_str(out, data);
                member(out, "mimeType", mime);
            }
            Body::Link(link) => {
                out.extend_from_slice(b"{\"type\":\"resource_link\",\"uri\":");
                json::write_str(out, &link.uri);
                member(out, "name", &link.name);
                if let Some(text) = &link.description {
                    member(out, "description", text);
                }
                if let Some(mime) = &link.mime_type {
                    member(out, "mimeType", mime);
                }
            }
            Body::Resource(contents) => {
                out.extend_from_slice(b"{\"type\":\"resource\",\"resource\":");
                contents.write(out, "", None);
            }
        }
        if let Some(extra) = &self.extra {
            if !extra.annotations.is_empty() {
                write_json(out, "annotations", &extra.annotations);
            }
            if let Some(meta) = &extra.meta {
                write_json(out, "_meta", meta);
            }
        }
        out.push(b'}');
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// A JSON array of content blocks.
pub(crate) fn write_all(content: &[Content]) -> String {
    let mut out = Vec::with_capacity(64);
    out.push(b'[');
    for (i, block) in content.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        block.write(&mut out);
    }
    out.push(b']');
    // Only whole JSON texts were appended.
    String::from_utf8(out).unwrap_or_default()
}

/// The contents of a resource: text or bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceContents {
    /// Empty: that of the request.
    uri: String,
    mime_type: Option<String>,
    data: Data,
    meta: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
enum Data {
    Text(String),
    Base64(String),
}

impl ResourceContents {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            uri: String::new(),
            mime_type: None,
            data: Data::Text(text.into()),
            meta: None,
        }
    }

    /// Bytes.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::base64(STANDARD.encode(bytes))
    }

    /// Bytes that are base64 already.
    pub fn base64(data: impl Into<String>) -> Self {
        Self {
            uri: String::new(),
            mime_type: None,
            data: Data::Base64(data.into()),
            meta: None,
        }
    }

    /// The URI; needed for embedded resources. In the answer to a read it is the requested one
    /// unless set.
    #[must_use]
    pub fn uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = uri.into();
        self
    }

    /// The MIME type; otherwise that of the resource.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// Sets `_meta`, a JSON object.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, uri: &str, mime_type: Option<&str>) {
        out.extend_from_slice(b"{\"uri\":");
        json::write_str(out, if self.uri.is_empty() { uri } else { &self.uri });
        if let Some(mime) = self.mime_type.as_deref().or(mime_type) {
            member(out, "mimeType", mime);
        }
        match &self.data {
            Data::Text(text) => member(out, "text", text),
            Data::Base64(data) => member(out, "blob", data),
        }
        if let Some(meta) = &self.meta {
            write_json(out, "_meta", meta);
        }
        out.push(b'}');
    }
}

/// An icon of a tool, resource or prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Icon {
    src: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sizes: Vec<String>,
}

impl Icon {
    /// An icon at an `https:` or `data:` URI.
    pub fn new(src: impl Into<String>) -> Self {
        Self {
            src: src.into(),
            mime_type: None,
            sizes: Vec::new(),
        }
    }

    /// Its MIME type.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// A size it fits, as `48x48` or `any`; may be called more than once.
    #[must_use]
    pub fn size(mut self, size: impl Into<String>) -> Self {
        self.sizes.push(size.into());
        self
    }
}

/// Appends `,"name":"text"`.
pub(crate) fn member(out: &mut Vec<u8>, name: &str, text: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    json::write_str(out, text);
}

/// Appends `,"name":<json>`.
pub(crate) fn write_json(out: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}
