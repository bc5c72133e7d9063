use super::*;
use crate::call::CallContext;
use crate::error::{CallError, ErrorCode};
use crate::source::{Source, SourceFuture, Spec};
use proptest::prelude::*;

struct Nothing;

impl Source for Nothing {
    fn call<'a>(&'a self, _cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async { Err(CallError::new(ErrorCode::Internal, "never called")) })
    }
}

fn listing(name: &str, prefix: &str, tools: &[(&str, &str)]) -> Arc<Compiled> {
    let mut listing = Listing::new(name, Arc::new(Nothing));
    listing.prefix = prefix.into();
    listing.tools = tools
        .iter()
        .map(|(n, schema)| Spec::new(*n, tool(n, schema)))
        .collect();
    compiled(listing)
}

fn compiled(listing: Listing) -> Arc<Compiled> {
    Arc::new(compile(Arc::new(listing), None, None, true))
}

fn tool(name: &str, schema: &str) -> String {
    format!(r#"{{"vendor":{{"x":1.0}},"name":"{name}","inputSchema":{schema}}}"#)
}

#[test]
fn names_depend_on_prefix_and_name_alone() {
    assert_eq!(exposed_name("", "any.thing/at all"), "any.thing/at all");
    assert_eq!(exposed_name("files", "read_file"), "files__read_file");
    let dotted = exposed_name("files", "read.file");
    assert!(
        dotted.starts_with("files__read_file_") && dotted.len() == "files__read_file".len() + 9,
        "{dotted}"
    );
    assert_ne!(dotted, exposed_name("files", "read file"));
    let long = exposed_name("p", &"x".repeat(200));
    assert_eq!(long.len(), MAX_NAME);
    assert_ne!(long, exposed_name("p", &"x".repeat(201)));
}

proptest! {
    #[test]
    fn exposed_names_suit_every_model_api(prefix in "[a-z]{1,32}", name in ".{0,200}") {
        let made = exposed_name(&prefix, &name);
        prop_assert!(made.len() <= MAX_NAME);
        prop_assert!(made.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
    }

    #[test]
    fn a_template_matches_its_own_expansions(id in "[^/{}]{1,20}", rest in ".{0,20}") {
        let one = UriTemplate::new("test://t/{id}/data").matches(&format!("test://t/{id}/data"));
        prop_assert!(one);
        let expanded = format!("test://{rest}");
        let wide = UriTemplate::new("test://{+rest}").matches(&expanded);
        prop_assert!(wide);
    }
}

#[test]
fn templates_do_not_cross_segments_and_do_not_blow_up() {
    let one = UriTemplate::new("a://{x}/z");
    assert!(one.matches("a://b/z") && !one.matches("a://b/c/z") && !one.matches("a:///z"));
    assert!(UriTemplate::new("a://{x*}/z").matches("a://b/c/z"));
    assert!(UriTemplate::new("a://{+x}/{y}").matches("a://b/c/d"));
    assert!(UriTemplate::new("a://{x}-{y}/z").matches("a://b-c-d/z"));
    assert!(UriTemplate::new("a://{x").matches("a://{x"));
    let hostile = UriTemplate::new(&"{+a}b".repeat(50));
    assert!(!hostile.matches(&"ab".repeat(5000)[..9999]));
}

#[test]
fn unknown_members_survive_and_only_the_name_changes() {
    let catalog = Catalog::merge(&[listing("up", "up", &[("t", r#"{"type":"object"}"#)])]);
    let entry = catalog.tool("up__t").unwrap();
    assert_eq!(
        &*entry.definition,
        r#"{"name":"up__t","vendor":{"x":1.0},"inputSchema":{"type":"object"}}"#
    );
    assert_eq!(&*entry.local_name, "t");
    let mut rest = Vec::new();
    entry.write_rest(&mut rest);
    assert_eq!(
        String::from_utf8(rest).unwrap(),
        r#"{"name":"up__t","input_schema":{"type":"object"},"source":"up","available":true}"#
    );
}

#[test]
fn the_first_owner_keeps_a_name_and_bad_tools_do_not_take_others_down() {
    let first = listing("a", "", &[("same", r#"{"type":"object"}"#), ("bad", "[]")]);
    let second = listing(
        "b",
        "",
        &[
            ("same", r#"{"type":"object"}"#),
            ("other", r#"{"type":"object"}"#),
        ],
    );
    let catalog = Catalog::merge(&[first, second]);
    let names: Vec<_> = catalog
        .tools()
        .iter()
        .map(|t| (&*t.name, &*t.source.name))
        .collect();
    assert_eq!(names, [("same", "a"), ("other", "b")]);
}

#[test]
fn legacy_callers_see_object_output_only() {
    let mut made = Listing::new("s", Arc::new(Nothing));
    let definition =
        |schema: &str| format!(r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{schema}}}"#);
    made.tools = vec![
        Spec::new("t", definition(r#"{"type":"array"}"#)),
        Spec::new("u", definition(r#"{"type":"object"}"#)),
    ];
    let catalog = Catalog::merge(&[compiled(made)]);
    let array = catalog.tool("t").unwrap();
    assert!(array.definition.contains("outputSchema") && !array.legacy_definition().contains("outputSchema"));
    assert!(array.hides_structured_from_legacy());
    assert!(!catalog.tool("u").unwrap().hides_structured_from_legacy());
}

#[test]
fn parameter_headers_follow_the_rules_or_the_tool_is_left_out() {
    let good = r#"{"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
        "properties":{"type":"boolean","x-mcp-header":"Flag"},
        "plain":{"type":"string","default":{"x-mcp-header":"data, not schema"}}}}"#;
    let catalog = Catalog::merge(&[listing("s", "", &[("t", good)])]);
    let mut headers: Vec<_> = catalog
        .tool("t")
        .unwrap()
        .param_headers
        .iter()
        .map(|h| (h.header.as_str(), h.path.join("."), h.kind))
        .collect();
    headers.sort_by(|a, b| a.0.cmp(b.0));
    assert_eq!(
        headers,
        [
            ("mcp-param-flag", "properties".to_owned(), HeaderKind::Boolean),
            ("mcp-param-n", "deep.n".to_owned(), HeaderKind::Integer),
            ("mcp-param-region", "region".to_owned(), HeaderKind::String),
        ]
    );
    for bad in [
        r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":7}}}"#,
        r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
        r#"{"items":{"type":"string","x-mcp-header":"A"}}"#,
        r#"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
    ] {
        assert!(
            Catalog::merge(&[listing("s", "", &[("t", bad)])])
                .tool("t")
                .is_none(),
            "{bad}"
        );
    }
}

#[test]
fn resources_route_by_uri_then_template_then_only_owner() {
    let mut one = Listing::new("one", Arc::new(Nothing));
    one.offers.resources = true;
    one.resources = vec![Spec::new("x://listed", r#"{"uri":"x://listed","name":"n"}"#)];
    one.templates = vec![Spec::new(
        "x://t/{id}",
        r#"{"uriTemplate":"x://t/{id}","name":"n"}"#,
    )];
    let mut two = Listing::new("two", Arc::new(Nothing));
    two.offers.resources = true;
    let (one, two) = (compiled(one), compiled(two));
    let alone = Catalog::merge(&[Arc::clone(&one)]);
    assert!(alone.resource_source("x://unlisted").is_some());
    let both = Catalog::merge(&[two, one]);
    assert_eq!(&*both.resource_source("x://listed").unwrap().name, "one");
    assert_eq!(&*both.resource_source("x://t/5").unwrap().name, "one");
    assert!(both.resource_source("x://unlisted").is_none());
    assert_eq!(&*both.template_source("x://t/{id}").unwrap().name, "one");
}

#[test]
fn tasks_route_by_source() {
    let mut able = Listing::new("my.source", Arc::new(Nothing));
    able.offers.tasks = true;
    let catalog = Catalog::merge(&[compiled(able), listing("other", "", &[])]);
    assert!(catalog.task_source("my.source.abc").is_some());
    for id in ["other.abc", "nobody.abc", "my.source", "", "."] {
        assert!(catalog.task_source(id).is_none(), "{id}");
    }
}

fn edited_listing(edits: &[(&str, Edit)], tools: &[&str]) -> Catalog {
    let mut listing = Listing::new("up", Arc::new(Nothing));
    listing.prefix = "up".into();
    let spec = |name: &&str| {
        let definition =
            format!(r#"{{"name":"{name}","title":"T","description":"old","x":1,"inputSchema":{{}}}}"#);
        Spec::new(*name, definition)
    };
    listing.tools = tools.iter().map(spec).collect();
    listing.prompts = tools
        .iter()
        .map(|name| Spec::new(*name, format!(r#"{{"name":"{name}","description":"old"}}"#)))
        .collect();
    let edits: std::collections::BTreeMap<_, _> = edits
        .iter()
        .map(|(key, edit)| ((*key).to_owned(), edit.clone()))
        .collect();
    listing.edits = Arc::new(Edits {
        tools: edits.clone(),
        prompts: edits,
    });
    Catalog::merge(&[compiled(listing)])
}

fn renamed(name: &str) -> Edit {
    Edit {
        name: Some(name.into()),
        ..Edit::default()
    }
}

#[test]
fn edits_rename_describe_and_hide() {
    let edit = Edit {
        name: Some("b".into()),
        title: Some("Title".into()),
        description: Some("says \"new\"".into()),
        hidden: false,
    };
    let hidden = Edit {
        hidden: true,
        ..Edit::default()
    };
    let catalog = edited_listing(&[("a", edit), ("h", hidden)], &["a", "h", "c"]);
    let names: Vec<_> = catalog.tools().iter().map(|t| &*t.name).collect();
    assert_eq!(names, ["up__b", "up__c"]);
    assert!(catalog.tool("up__a").is_none() && catalog.tool("up__h").is_none());
    assert!(catalog.prompt("up__a").is_none() && catalog.prompt("up__h").is_none());
    let tool = catalog.tool("up__b").unwrap();
    assert_eq!(&*tool.local_name, "a");
    assert_eq!(
        &*tool.definition,
        r#"{"name":"up__b","title":"Title","description":"says \"new\"","x":1,"inputSchema":{}}"#
    );
    assert!(tool.original.contains(r#""description":"old""#));
    let prompt = catalog.prompt("up__b").unwrap();
    assert_eq!(
        &*prompt.definition,
        r#"{"name":"up__b","title":"Title","description":"says \"new\""}"#
    );
}

#[test]
fn a_name_that_the_operator_gave_cannot_be_taken() {
    // Whichever is listed first.
    for tools in [["a", "b"], ["b", "a"]] {
        let catalog = edited_listing(&[("a", renamed("b"))], &tools);
        let all: Vec<_> = catalog
            .tools()
            .iter()
            .map(|t| (&*t.name, &*t.local_name))
            .collect();
        assert_eq!(all, [("up__b", "a")], "{tools:?}");
    }
    // Two can change places.
    let catalog = edited_listing(&[("a", renamed("b")), ("b", renamed("a"))], &["a", "b"]);
    let all: Vec<_> = catalog
        .tools()
        .iter()
        .map(|t| (&*t.name, &*t.local_name))
        .collect();
    assert_eq!(all, [("up__b", "a"), ("up__a", "b")]);
    // An edit of something that is not there takes no name from anybody.
    let catalog = edited_listing(&[("gone", renamed("b"))], &["b"]);
    assert_eq!(&*catalog.tool("up__b").unwrap().local_name, "b");
    assert_eq!(
        edited_listing(&[("a", renamed("c")), ("b", renamed("c"))], &["a", "b"])
            .tools()
            .len(),
        1
    );
}
