//! A master key that never leaves a key management service: a stranger's, that checks signatures and permissions.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod common;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use cairn_commands::ports::{FailureKind, PersonalPort as _};
use cairn_privacy::{AwsKms, KmsConfig, MasterError, MasterFile, MasterKey};
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use common::{Masters, is, open, opened, rotate_under_load, seal, subject};

/// Serves moto's KMS on a free port to one user, who may do what the guide's policy says, and ends with its parent.
const MOTO: &str = r#"
import json, os, sys
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "3"
import boto3
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://127.0.0.1:%d" % server.get_host_and_port()[1]
iam = boto3.client("iam", endpoint_url=url, region_name="eu-west-3", aws_access_key_id="none", aws_secret_access_key="none")
iam.create_user(UserName="cairn")
iam.put_user_policy(UserName="cairn", PolicyName="keys", PolicyDocument=sys.argv[1])
key = iam.create_access_key(UserName="cairn")["AccessKey"]
print(json.dumps([url, key["AccessKeyId"], key["SecretAccessKey"]]), flush=True)
kms = boto3.client("kms", endpoint_url=url, region_name="eu-west-3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
for line in sys.stdin:
    if line.strip():
        kms.create_alias(AliasName=line.strip(), TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    names = [alias["AliasName"] for alias in kms.list_aliases()["Aliases"]]
    print(json.dumps(sorted(name for name in names if name.startswith("alias/cairn"))), flush=True)
os._exit(0)
"#;

struct Moto {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    url: String,
    asks: (String, String),
}

impl Moto {
    async fn start() -> Self {
        let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let python = workspace.join("target/tools/moto/bin/python");
        assert!(python.exists(), "{} is missing: run `cargo xtask setup`", python.display());
        let mut process = Command::new(python)
            .args(["-c", MOTO, &policy()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = answer(&mut said).await;
        let (url, asks) = (first[0].clone(), (first[1].clone(), first[2].clone()));
        Self { process, said, url, asks }
    }

    /// Makes a key with this alias, if it is one, with the service's own client; answers every alias of ours.
    async fn alias(&mut self, name: &str) -> Vec<String> {
        let line = format!("{name}\n");
        self.process.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
        answer(&mut self.said).await
    }

    fn kms(&self, (id, secret): (&str, &str)) -> AwsKms {
        let environment = [
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_REGION", "eu-west-3"),
            // Of objects, and no concern of keys.
            ("AWS_ENDPOINT_URL", "https://objects.invalid"),
        ];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let environment = environment.into_iter().map(own).collect();
        AwsKms::new(&KmsConfig { url: format!("{}/alias/cairn", self.url), environment }).unwrap()
    }

    fn masters(&self) -> Masters {
        vec![self.key()]
    }

    fn key(&self) -> Arc<dyn MasterKey> {
        Arc::new(self.kms((&self.asks.0, &self.asks.1)))
    }
}

/// It also talks of other things.
async fn answer(said: &mut Lines<BufReader<ChildStdout>>) -> Vec<String> {
    loop {
        let line = said.next_line().await.unwrap().unwrap();
        if let Ok(answer) = serde_json::from_str(&line) {
            return answer;
        }
    }
}

/// The one that the guide tells people to give.
fn policy() -> String {
    let guide = include_str!("../../../docs/guides/privacy.md");
    let (_, from) = guide.split_once("```json\n").unwrap();
    from.split_once("```").unwrap().0.to_owned()
}

async fn wrapped(owner: &PgPool) -> Vec<(Vec<u8>, String)> {
    let all = "SELECT wrapped, master_id FROM privacy_subject_keys ORDER BY subject";
    sqlx::query_as(all).fetch_all(owner).await.unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn keys_are_wrapped_by_the_service_for_their_subject_alone(owner: PgPool) {
    let moto = Moto::start().await;
    let masters = moto.masters();
    let (one, two) = (open(&owner, &masters).await.unwrap(), open(&owner, &masters).await.unwrap());
    let sealed = seal(&one, 1, "Ada").await;
    assert_eq!(opened(&two, &sealed).await, is(1, "Ada"));
    let held = wrapped(&owner).await;
    assert!(
        held[0].1.starts_with("kms:http://") && held[0].1.ends_with("/alias/cairn:v1"),
        "{held:?}"
    );
    assert_eq!(one.master_id().await.unwrap(), held[0].1);
    // A key that was wrapped for somebody else is none.
    seal(&one, 2, "Bob").await;
    let swap = "UPDATE privacy_subject_keys SET wrapped = $1 WHERE wrapped <> $1";
    sqlx::query(swap).bind(&held[0].0).execute(&owner).await.unwrap();
    let three = open(&owner, &masters).await.unwrap();
    let error = three.seal(&subject(2), vec!["Bob".to_owned()]).await.unwrap_err();
    assert!(error.to_string().contains("InvalidCiphertextException"), "{error}");
    assert_eq!(opened(&three, &sealed).await, is(1, "Ada"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_signature_of_somebody_else_is_refused_and_a_service_that_is_away_is_asked_again(
    owner: PgPool,
) {
    let mut moto = Moto::start().await;
    let forged: Arc<dyn MasterKey> = Arc::new(moto.kms((&moto.asks.0, "guessed")));
    let stranger = open(&owner, &vec![forged]).await.unwrap_err();
    assert!(matches!(stranger, MasterError::Service { transient: false, .. }), "{stranger:?}");
    assert!(stranger.to_string().contains("403"), "{stranger}");
    let keys = open(&owner, &moto.masters()).await.unwrap();
    let sealed = seal(&keys, 1, "Ada").await;
    moto.process.kill().await.unwrap();
    let error = keys.seal(&subject(2), vec!["Bob".to_owned()]).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Transient, "{error}");
    assert_eq!(opened(&keys, &sealed).await, is(1, "Ada"), "what was unwrapped before");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_key_in_a_kms_is_rotated_while_everybody_writes_and_nothing_is_refused(owner: PgPool) {
    let moto = Moto::start().await;
    assert!(rotate_under_load(&owner, &moto.masters(), 2).await >= 120);
    let versions = moto.key().versions().await.unwrap();
    assert_eq!(versions.len(), 1, "the old versions are taken away");
    assert!(versions[0].id.ends_with(":v3"), "{versions:?}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn keys_move_from_a_file_to_a_kms_and_back(owner: PgPool) {
    let moto = Moto::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.key");
    let file: Arc<dyn MasterKey> = Arc::new(MasterFile::at(path.clone()));
    let before = open(&owner, &vec![Arc::clone(&file)]).await.unwrap();
    let sealed = seal(&before, 1, "Ada").await;
    let there = open(&owner, &vec![moto.key(), Arc::clone(&file)]).await.unwrap();
    assert_eq!(there.rotate().await.unwrap().1, 1);
    std::fs::remove_file(&path).unwrap();
    let alone = open(&owner, &moto.masters()).await.unwrap();
    assert_eq!(opened(&alone, &sealed).await, is(1, "Ada"));
    assert!(wrapped(&owner).await[0].1.starts_with("kms:"));
    let back = open(&owner, &vec![file, moto.key()]).await.unwrap();
    assert_eq!(back.rotate().await.unwrap().1, 1);
    let file: Arc<dyn MasterKey> = Arc::new(MasterFile::at(path));
    let again = open(&owner, &vec![file]).await.unwrap();
    assert_eq!(opened(&again, &sealed).await, is(1, "Ada"));
}

/// Whoever was interrupted while a version was made or taken away leaves halves; none of them is used, and the next rotation takes them away.
#[sqlx::test(migrations = "../../migrations")]
async fn halves_of_versions_are_not_used_and_go(owner: PgPool) {
    let mut moto = Moto::start().await;
    let keys = open(&owner, &moto.masters()).await.unwrap();
    let sealed = seal(&keys, 1, "Ada").await;
    let kms = moto.kms((&moto.asks.0, &moto.asks.1));
    let ids = async || -> Vec<String> {
        kms.versions().await.unwrap().into_iter().map(|version| version.id).collect()
    };
    assert_eq!(ids().await.len(), 1);
    let all = moto.alias("alias/cairn-v2").await;
    assert_eq!(all, ["alias/cairn-v1", "alias/cairn-v1-mac", "alias/cairn-v2"]);
    assert_eq!(ids().await.len(), 1, "it has no HMAC yet");
    let (master_id, wrapped) = keys.rotate().await.unwrap();
    assert!(master_id.ends_with(":v3") && wrapped == 1, "{master_id}: {wrapped}");
    assert_eq!(ids().await, [master_id]);
    assert_eq!(moto.alias("").await, ["alias/cairn-v3", "alias/cairn-v3-mac"]);
    let after = open(&owner, &moto.masters()).await.unwrap();
    assert_eq!(opened(&after, &sealed).await, is(1, "Ada"));
}
