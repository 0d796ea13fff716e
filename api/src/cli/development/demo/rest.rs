//! After the story: the server stays, for whoever wants to look around.
use super::stage::Stage;
use crate::cli::output::Output;
use crate::cli::serve::Stops;

/// This program, as one can type it.
fn program() -> String {
    let here = std::env::current_exe().ok();
    here.map_or_else(|| "cairn".to_owned(), |path| path.display().to_string())
}

/// Leaves the server running, with keys and examples, until a signal comes.
pub(super) async fn stay(stage: &Stage, output: Output, stops: &mut Stops) {
    output.say(&format!("\nThe server stays on {}. Keys:", stage.url));
    for (name, key) in &stage.keys {
        output.say(&format!("  {name:9} {key}"));
    }
    let (url, customer) = (&stage.url, &stage.keys[1].1);
    output.say(&format!(
        "Try:\n  curl -s {url}/v1/balance -H 'Authorization: Bearer {customer}'\n  \
         curl -s {url}/v1/top-ups -H 'Authorization: Bearer {customer}' -H \"Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)\" \\\n    \
         -H 'Content-Type: application/json' -d '{{\"amount\":\"10.00\",\"currency\":\"USD\",\"payment_method\":\"pm_card_visa\"}}'\n  \
         curl -s {url}/openapi.json\n  CAIRN_DATA={} {} finance trial-balance\nCtrl-C ends it.",
        stage.data().display(),
        program()
    ));
    stops.wait().await;
}
