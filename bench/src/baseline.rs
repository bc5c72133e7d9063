//! What both baseline programs share: arguments, the listener, and accepting on one current-thread runtime.

use std::future::Future;
use std::process::ExitCode;

use tokio::net::{TcpListener, TcpStream};

/// Runs `serve` for every connection on the address of `--addr HOST:PORT`, on a current-thread runtime.
#[expect(
    clippy::print_stderr,
    reason = "the programs report on standard error as servers do"
)]
pub fn run<F, S>(mut serve: F) -> ExitCode
where
    F: FnMut(TcpStream) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let mut arguments = std::env::args().skip(1);
    let (Some("--addr"), Some(address)) = (arguments.next().as_deref(), arguments.next()) else {
        eprintln!("usage: --addr HOST:PORT");
        return ExitCode::from(2);
    };
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            runtime.block_on(async {
                let listener = TcpListener::bind(&address).await?;
                eprintln!("listening http://{}", listener.local_addr()?);
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(serve(stream));
                }
            })
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: std::io::Error = error;
            eprintln!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}
