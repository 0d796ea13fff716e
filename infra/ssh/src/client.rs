//! One login, one command, over russh.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_commands::ports::{FailureKind, NodeTarget, PortError};
use cairn_fleet::HostKey;
use russh::client::{self, Handle};
use russh::keys::PublicKeyOrCertificate;
use russh::{ChannelMsg, Disconnect};

use crate::enrolment::canonical;
use crate::identity::Credential;

/// An answer is small; more than this is not one.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// How often to ask a silent node whether it is there; three unanswered questions end the connection.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How often to look whether the connection is still there.
const LOOK_AFTER: Duration = Duration::from_millis(250);

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub connect: Duration,
    pub command: Duration,
}

/// Who logs in to do what.
pub struct Errand<'a> {
    pub account: &'a str,
    pub credential: Credential,
    pub command: &'a str,
    pub input: Vec<u8>,
}

/// How an errand ended.
pub struct Output {
    pub status: u32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Why an errand was not done.
pub enum Failure {
    /// No connection, or it broke.
    Unreachable(String),
    /// The node is not the one that was pinned.
    Impostor,
    /// The node is itself but does not let us in: the certificate is refused, or the login is cut off.
    NotAdmitted(String),
}

impl Failure {
    pub fn into_port(self, node: &NodeTarget, not_admitted: (FailureKind, &str)) -> PortError {
        let at = format!("{} ({}:{})", node.node_id, node.address, node.port);
        match self {
            Self::Unreachable(why) => {
                PortError::transient("node_unreachable", format!("{at}: {why}"))
            }
            Self::Impostor => {
                let message = format!("{at} presents a host key that is not pinned");
                PortError::new(FailureKind::Untrusted, "host_key_changed", message)
            }
            Self::NotAdmitted(why) => {
                PortError::new(not_admitted.0, not_admitted.1, format!("{at}: {why}"))
            }
        }
    }
}

/// Knows the node by its pinned keys, and by nothing else.
struct Pins {
    keys: Vec<HostKey>,
    refused: Arc<AtomicBool>,
}

impl client::Handler for Pins {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        presented: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let known = match presented {
            PublicKeyOrCertificate::PublicKey { key, .. } => key
                .to_openssh()
                .ok()
                .and_then(|text| canonical(&text).ok())
                .is_some_and(|text| self.keys.contains(&text)),
            // We do not ask for certificates: the pin is stronger, and does not end after 90 days.
            PublicKeyOrCertificate::Certificate(_) => false,
        };
        self.refused.store(!known, Ordering::SeqCst);
        Ok(known)
    }
}

/// Connects, logs in, runs one command to its end, and leaves.
pub async fn run(
    node: &NodeTarget,
    errand: Errand<'_>,
    patience: Patience,
) -> Result<Output, Failure> {
    let slow = |what: &str, wait: Duration| {
        Failure::Unreachable(format!("{what} took longer than {} s", wait.as_secs()))
    };
    let mut session = tokio::time::timeout(patience.connect, connect(node))
        .await
        .map_err(|_| slow("connecting", patience.connect))??;
    let Errand { account, credential, command, input } = errand;
    tokio::time::timeout(patience.connect, log_in(&mut session, account, credential))
        .await
        .map_err(|_| slow("logging in", patience.connect))??;
    let work = async {
        tokio::select! {
            output = execute(&session, command, input) => output,
            () = ended(&session) => Err(russh::Error::Disconnect),
        }
    };
    let output = tokio::time::timeout(patience.command, work)
        .await
        .map_err(|_| slow("the command", patience.command))?
        .map_err(|error| Failure::Unreachable(format!("the connection broke: {error}")))?;
    // The node has answered; how it takes our goodbye changes nothing.
    let _gone = session.disconnect(Disconnect::ByApplication, "", "").await;
    output.ok_or_else(|| Failure::Unreachable("the command was cut off".to_owned()))
}

/// Completes a while after the connection has ended. A channel on it may never hear of that by itself; what it has
/// already received it may still read.
async fn ended(session: &Handle<Pins>) {
    while !session.is_closed() {
        tokio::time::sleep(LOOK_AFTER).await;
    }
    tokio::time::sleep(LOOK_AFTER).await;
}

async fn connect(node: &NodeTarget) -> Result<Handle<Pins>, Failure> {
    let refused = Arc::new(AtomicBool::new(false));
    let pins = Pins { keys: node.host_keys.clone(), refused: Arc::clone(&refused) };
    let config = client::Config {
        nodelay: true,
        // A node that vanishes without a word is noticed long before the command's own time is up.
        keepalive_interval: Some(KEEPALIVE),
        ..client::Config::default()
    };
    let address = (node.address.as_str(), node.port);
    client::connect(Arc::new(config), address, pins).await.map_err(|error| {
        if refused.load(Ordering::SeqCst) {
            Failure::Impostor
        } else {
            Failure::Unreachable(error.to_string())
        }
    })
}

async fn log_in(
    session: &mut Handle<Pins>,
    account: &str,
    credential: Credential,
) -> Result<(), Failure> {
    let Credential { key, certificate } = credential;
    match session.authenticate_openssh_cert(account, Arc::new(key), certificate).await {
        Ok(result) if result.success() => Ok(()),
        Ok(_) if session.is_closed() => {
            Err(Failure::NotAdmitted("the login is cut off".to_owned()))
        }
        Ok(_) => Err(Failure::NotAdmitted("the certificate is refused".to_owned())),
        Err(error) => Err(Failure::NotAdmitted(format!("the login is cut off: {error}"))),
    }
}

/// `None` when the command ended without an exit status, as one that was killed does.
async fn execute(
    session: &Handle<Pins>,
    command: &str,
    input: Vec<u8>,
) -> Result<Option<Output>, russh::Error> {
    let mut channel = session.channel_open_session().await?;
    channel.exec(true, command).await?;
    channel.data(&input[..]).await?;
    channel.eof().await?;
    let (mut status, mut stdout, mut stderr) = (None, Vec::new(), Vec::new());
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } if stdout.len() < OUTPUT_BYTES_MAX => {
                stdout.extend_from_slice(&data);
            }
            ChannelMsg::ExtendedData { data, .. } if stderr.len() < OUTPUT_BYTES_MAX => {
                stderr.extend_from_slice(&data);
            }
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
    }
    Ok(status.map(|status| Output { status, stdout, stderr }))
}
