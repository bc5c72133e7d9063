use ferromcp::{JsonSchema, Server, Tool};

#[derive(serde::Deserialize, JsonSchema)]
struct Greet {
    /// Whom to greet.
    name: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let greet = Tool::new("greet", "Says hello", |args: Greet| async move {
        format!("Hello, {}!", args.name)
    });
    Server::builder("hello", "1.0.0")
        .tool(greet)
        .build()?
        .serve_stdio()
        .await?;
    Ok(())
}
