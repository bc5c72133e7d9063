//! Resources and prompts.

use ferromcp::{
    Content, Context, JsonSchema, Message, Prompt, Resource, ResourceContents, ResourceTemplate,
    ServerBuilder, ToolError,
};
use serde::Deserialize;
use serde_json::json;

use crate::content::PNG;

#[derive(Deserialize)]
struct Item {
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Two {
    /// First test argument
    arg1: String,
    /// Second test argument
    arg2: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Embed {
    /// URI of the resource to embed
    resource_uri: String,
}

#[derive(Deserialize, JsonSchema)]
struct UserContext {
    context: String,
}

pub(crate) fn add(server: ServerBuilder) -> ServerBuilder {
    prompts(resources(server))
}

fn resources(server: ServerBuilder) -> ServerBuilder {
    server
        .resource(
            Resource::text(
                "test://static-text",
                "static-text",
                "This is the content of the static text resource.",
            )
            .title("Static Text Resource")
            .description("A static text resource for testing")
            .mime_type("text/plain"),
        )
        .resource(
            Resource::new("test://static-binary", "static-binary", || async {
                ResourceContents::base64(PNG)
            })
            .title("Static Binary Resource")
            .description("A static binary resource (image) for testing")
            .mime_type("image/png"),
        )
        .resource(
            Resource::text(
                "test://watched-resource",
                "watched-resource",
                "Watched resource content",
            )
            .title("Watched Resource")
            .description("A resource that is updated every 3 seconds")
            .mime_type("text/plain"),
        )
        .template(
            ResourceTemplate::new("test://template/{id}/data", "template", |item: Item| async move {
                let data = format!("Data for ID: {}", item.id);
                json!({ "id": item.id, "templateTest": true, "data": data }).to_string()
            })
            .title("Resource Template")
            .description("A resource template with parameter substitution")
            .mime_type("application/json"),
        )
}

fn prompts(server: ServerBuilder) -> ServerBuilder {
    server
        .prompt(
            Prompt::new(
                "test_simple_prompt",
                "A simple prompt without arguments",
                || async { "This is a simple prompt for testing." },
            )
            .title("Simple Test Prompt"),
        )
        .prompt(
            Prompt::new(
                "test_prompt_with_arguments",
                "A prompt with required arguments",
                |args: Two| async move {
                    format!(
                        "Prompt with arguments: arg1='{}', arg2='{}'",
                        args.arg1, args.arg2
                    )
                },
            )
            .title("Prompt With Arguments")
            .choices("arg1", ["paris", "park", "party"])
            .choices("arg2", ["tomorrow", "tonight"]),
        )
        .prompt(
            Prompt::new(
                "test_prompt_with_embedded_resource",
                "A prompt that includes an embedded resource",
                |args: Embed| async move {
                    vec![
                        Message::user(Content::resource(
                            ResourceContents::text("Embedded resource content for testing.")
                                .uri(args.resource_uri)
                                .mime_type("text/plain"),
                        )),
                        Message::user("Please process the embedded resource above."),
                    ]
                },
            )
            .title("Prompt With Embedded Resource"),
        )
        .prompt(
            Prompt::new(
                "test_prompt_with_image",
                "A prompt that includes image content",
                || async {
                    vec![
                        Message::user(Content::image_base64(PNG, "image/png")),
                        Message::user("Please analyze the image above."),
                    ]
                },
            )
            .title("Prompt With Image"),
        )
        .prompt(Prompt::new(
            "test_input_required_result_prompt",
            "A prompt that asks for input",
            |cx: Context| async move {
                let question = "What context should the prompt use?";
                let answer = cx.elicit::<UserContext>("user_context", question).await?;
                let context = answer
                    .accepted()
                    .map_or_else(|| "none".into(), |found| found.context);
                Ok::<_, ToolError>(format!("Prompt with context: {context}"))
            },
        ))
}
