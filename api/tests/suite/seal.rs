//! `cairn audit`: the log is sealed, verified, and one event of it is proven by the public key alone.
use std::fs;
use std::process::Command;

use sqlx::PgPool;

use crate::cli::Shell;

#[sqlx::test(migrations = "../migrations")]
async fn a_log_is_sealed_verified_and_proven_from_the_command_line(pool: PgPool) {
    let shell = Shell::new(&pool.connect_options());
    for number in 0..3 {
        let define =
            format!("skus define s{number} --cpu-millis 250 --memory-mib 64 --disk-mib 64");
        shell.json(&define).await;
    }
    let said = shell.run("audit prove --event 2").await;
    assert_eq!((said.code(), said.talk().contains("not_sealed")), (4, true), "{}", said.talk());
    let sealed = shell.json("audit seal").await;
    assert_eq!((&sealed["sealed_position"], &sealed["published_blocks"]), (&3.into(), &1.into()));
    let report = shell.json("audit verify --workers 2").await;
    assert_eq!((&report["intact"], &report["events_checked"]), (&true.into(), &3.into()));
    let doctor = shell.run("doctor --output json").await;
    assert!(doctor.data().contains("sealed up to 3, 0 events are not yet; 1 blocks published"));
    // The trail as before, with and without its new name.
    let trail = shell.json("audit --aggregate-type sku").await;
    assert_eq!(trail.as_array().unwrap().len(), 3);
    assert_eq!(shell.json("audit list --aggregate-type sku").await, trail);
    prove(&shell).await;
    for statement in [
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "UPDATE events SET payload = replace(payload::text, '250', '251')::json WHERE position = 2",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let said = shell.run("audit verify --output json").await;
    assert_eq!(said.code(), 7, "{}", said.talk());
    assert!(said.talk().contains("position 2 is the first"), "{}", said.talk());
    let report: serde_json::Value = serde_json::from_str(&said.data()).unwrap();
    assert_eq!(report["findings"][0]["fault"], "event_changed");
}

/// The proof is checked where there is neither database nor configuration.
async fn prove(shell: &Shell) {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| elsewhere.path().join(name).display().to_string();
    shell.run(&format!("audit prove --event 2 --out {}", path("proof.json"))).await;
    fs::write(path("keys.pem"), shell.run("audit key").await.data()).unwrap();
    let check = |proof: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(["audit", "check-proof", &path(proof), "--key", &path("keys.pem")]);
        command.env_clear().current_dir(elsewhere.path()).output().unwrap()
    };
    let said = check("proof.json");
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(String::from_utf8_lossy(&said.stdout).contains("sku.defined"));
    let forged = fs::read_to_string(path("proof.json")).unwrap().replace("250", "251");
    fs::write(path("forged.json"), forged).unwrap();
    assert_eq!(check("forged.json").status.code(), Some(7));
    let missing = check("mising.json");
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("mising.json"));
}
