//! What enrolment changes on this machine: keys under `/etc/ssh/cairn`, one sshd drop-in, a block in PAM's files, one account
//! and one group. Everything is written by this program; the control plane only sends keys.
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cairn_node::{
    CONTROL_ACCOUNT, EnrolResponse, HostCertificates, TENANT_GROUP, control_principal,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::config::Config;
use crate::fault::{Fault, Outcome, While};
use crate::{processes, system};

const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-cairn.conf";
const BEGIN: &str = "# BEGIN cairn";
const END: &str = "# END cairn";

/// Where PAM's files are: the machine's own, and the distribution's.
const PAM: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
/// Services that run programs in a user's name outside the session, and so outside the cgroup.
const OUTSIDE: [&str; 4] = ["cron", "crond", "atd", "systemd-user"];

/// The SSH server as it is configured.
pub struct Sshd {
    program: String,
    pub port: u16,
    host_keys: Vec<PathBuf>,
    pid_file: PathBuf,
}

impl Sshd {
    /// Asks sshd itself.
    pub fn look() -> Outcome<Self> {
        let found = ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"];
        let program = found.iter().find(|path| Path::new(path).exists());
        let program =
            program.ok_or_else(|| Fault::permanent("sshd_missing", "no OpenSSH server here"))?;
        let settings = system::run(&[program, "-T"])?;
        let all = |name: &str| {
            let prefix = format!("{name} ");
            settings.lines().filter_map(move |line| line.strip_prefix(&prefix).map(str::to_owned))
        };
        let port = all("port").next().and_then(|port| port.parse().ok()).unwrap_or(22);
        let pid_file = all("pidfile").next().unwrap_or_else(|| "/run/sshd.pid".to_owned());
        let host_keys = all("hostkey").map(PathBuf::from).collect();
        Ok(Self { program: (*program).to_owned(), port, host_keys, pid_file: pid_file.into() })
    }

    /// Its public host keys, `type base64`.
    pub fn public_keys(&self) -> Outcome<Vec<String>> {
        let mut keys = Vec::new();
        for path in &self.host_keys {
            let public = PathBuf::from(format!("{}.pub", path.display()));
            if let Some(text) = system::read(&public)? {
                keys.push(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
            }
        }
        if keys.is_empty() {
            return Err(Fault::permanent("no_host_keys", "the SSH server has no public host keys"));
        }
        Ok(keys)
    }

    /// Takes the new configuration into use; open sessions stay.
    fn reload(&self) -> Outcome<()> {
        if Path::new("/run/systemd/system").exists() {
            let units = ["ssh.service", "sshd.service"];
            let reloaded = units.iter().any(|unit| {
                system::ask(&["systemctl", "reload-or-try-restart", unit]).is_ok_and(|s| s.success)
            });
            if reloaded {
                return Ok(());
            }
        }
        let text = system::read(&self.pid_file)?.unwrap_or_default();
        let pid = text.trim().parse().ok().and_then(Pid::from_raw).ok_or_else(|| {
            let message = format!("no SSH server runs ({})", self.pid_file.display());
            Fault::permanent("sshd_not_running", message)
        })?;
        let before = self.pid_file_version();
        kill_process(pid, Signal::HUP).map_err(std::io::Error::from).doing("reloading sshd")?;
        // sshd removes the file when it reloads and writes it anew once it listens again.
        let listening = processes::until(|| {
            let now = self.pid_file_version();
            Ok(now.is_some() && now != before)
        })?;
        if listening {
            Ok(())
        } else {
            Err(Fault::transient("sshd_not_running", "the SSH server does not come back"))
        }
    }

    fn pid_file_version(&self) -> Option<(u64, i64, i64)> {
        let found = fs::metadata(&self.pid_file).ok()?;
        Some((found.ino(), found.ctime(), found.ctime_nsec()))
    }
}

/// Installs the keys and takes them into use.
pub fn install(config: &Config, sshd: &Sshd, response: &EnrolResponse) -> Outcome<()> {
    let program = own_path()?;
    make_accounts()?;
    write_keys(config, response)?;
    let certificates = write_certificates(config, &response.host)?;
    write_pam(&program)?;
    let before = system::read(Path::new(DROP_IN))?;
    let drop_in = drop_in(config, &program, &certificates);
    system::make_directory(Path::new("/etc/ssh/sshd_config.d"), 0o755)?;
    system::write_atomically(Path::new(DROP_IN), drop_in.as_bytes(), 0o644)?;
    if let Err(fault) = verify(sshd, &program) {
        // Never leave the owner with an SSH server that does not start.
        match before {
            Some(text) => system::write_atomically(Path::new(DROP_IN), text.as_bytes(), 0o644)?,
            None => system::remove_file(Path::new(DROP_IN))?,
        }
        return Err(fault);
    }
    remember(config, response)?;
    sshd.reload()
}

fn remember(config: &Config, response: &EnrolResponse) -> Outcome<()> {
    let known = serde_json::to_vec(response)
        .map_err(|error| Fault::permanent("answer_invalid", error.to_string()))?;
    system::write_atomically(&config.control_plane(), &known, 0o600)
}

/// What the control plane said at enrolment; `None` before it.
pub fn control_plane(config: &Config) -> Outcome<Option<EnrolResponse>> {
    let text = system::read(&config.control_plane())?;
    let read = |text: String| {
        serde_json::from_str(&text)
            .map_err(|error| Fault::permanent("answer_invalid", error.to_string()))
    };
    text.map(read).transpose()
}

/// Takes renewed host certificates into use.
pub fn certify(config: &Config, renewed: &HostCertificates) -> Outcome<()> {
    let known = control_plane(config)?;
    let known =
        known.ok_or_else(|| Fault::permanent("not_enrolled", "the node is not enrolled"))?;
    if renewed.certificates.len() != known.host.certificates.len() {
        return Err(Fault::permanent("certificates_invalid", "one per host key, as at enrolment"));
    }
    write_certificates(config, renewed)?;
    let sshd = Sshd::look()?;
    system::run(&[&sshd.program, "-t"]).map_err(|fault| fault.recoded("sshd_refuses"))?;
    remember(config, &EnrolResponse { host: renewed.clone(), ..known })?;
    sshd.reload()
}

/// sshd and PAM run this very program; its path stands in their files.
fn own_path() -> Outcome<String> {
    let path = std::env::current_exe().doing("finding this program")?.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-');
    if path.bytes().all(plain) {
        Ok(path)
    } else {
        let message = format!("{path} has characters that a configuration file cannot hold");
        Err(Fault::permanent("path_unsuitable", message))
    }
}

fn make_accounts() -> Outcome<()> {
    if system::group_id(TENANT_GROUP)?.is_none() {
        system::run(&["groupadd", "--system", TENANT_GROUP])?;
    }
    match system::account(CONTROL_ACCOUNT)? {
        Some(account) if account.uid == 0 => {
            system::run(&["usermod", "--password", "*", CONTROL_ACCOUNT]).map(drop)
        }
        Some(_) => Err(Fault::permanent("account_taken", format!("{CONTROL_ACCOUNT} exists"))),
        None => {
            let identity = ["--non-unique", "--uid", "0", "--gid", "0", "--password", "*"];
            let place = ["--no-create-home", "--home-dir", "/", "--shell", "/bin/sh"];
            let name = ["--comment", "Cairn control plane", CONTROL_ACCOUNT];
            system::run(&[&["useradd"][..], &identity, &place, &name].concat()).map(drop)
        }
    }
}

fn write_keys(config: &Config, response: &EnrolResponse) -> Outcome<()> {
    let directory = &config.ssh_dir;
    for path in [directory.clone(), config.keys(), config.principals()] {
        system::make_directory(&path, 0o755)?;
    }
    let write = |name: &str, text: &str| write_line(&directory.join(name), text);
    write("control_authority.pub", &response.control_authority)?;
    write("tenant_authority.pub", &response.tenant_authority)?;
    write("control_principals", &control_principal(&response.node_id))?;
    if !directory.join("revoked_keys").exists() {
        system::write_atomically(&directory.join("revoked_keys"), b"", 0o644)?;
    }
    Ok(())
}

/// Answers where they are.
fn write_certificates(config: &Config, host: &HostCertificates) -> Outcome<Vec<PathBuf>> {
    let plain = |b: u8| b.is_ascii_graphic() || b == b' ';
    if !host.certificates.iter().all(|text| text.trim_end().bytes().all(plain)) {
        return Err(Fault::permanent("certificates_invalid", "a certificate is one line"));
    }
    let mut paths = Vec::new();
    for (number, certificate) in host.certificates.iter().enumerate() {
        let path = config.ssh_dir.join(format!("host_{number}-cert.pub"));
        write_line(&path, certificate)?;
        paths.push(path);
    }
    Ok(paths)
}

fn write_line(path: &Path, text: &str) -> Outcome<()> {
    system::write_atomically(path, format!("{}\n", text.trim_end()).as_bytes(), 0o644)
}

fn drop_in(config: &Config, program: &str, certificates: &[PathBuf]) -> String {
    let directory = config.ssh_dir.display();
    let certificates: String =
        certificates.iter().map(|path| format!("HostCertificate {}\n", path.display())).collect();
    // Authorities are trusted inside the two blocks only: no certificate of Cairn's opens any other account.
    format!(
        "# Written by cairn-node enrol. Changes are lost at the next enrolment.
UsePAM yes
{certificates}
Match User {CONTROL_ACCOUNT}
    PermitRootLogin forced-commands-only
    ForceCommand {program} serve
    TrustedUserCAKeys {directory}/control_authority.pub
    AuthorizedPrincipalsFile {directory}/control_principals
    RevokedKeys {directory}/revoked_keys
    AuthorizedKeysFile none
    AuthenticationMethods publickey
    PermitTTY no
    DisableForwarding yes
    PermitUserRC no

Match Group {TENANT_GROUP}
    TrustedUserCAKeys {directory}/tenant_authority.pub
    AuthorizedPrincipalsFile {directory}/principals/%u
    AuthorizedKeysFile {directory}/keys/%u
    RevokedKeys {directory}/revoked_keys
    AuthenticationMethods publickey
    DisableForwarding yes
    PermitUserRC no

Match all
"
    )
}

/// sshd accepts the files and really uses them.
fn verify(sshd: &Sshd, program: &str) -> Outcome<()> {
    system::run(&[&sshd.program, "-t"]).map_err(|fault| fault.recoded("sshd_refuses"))?;
    let connection = format!("user={CONTROL_ACCOUNT},host=localhost,addr=127.0.0.1");
    let settings = system::run(&[&sshd.program, "-T", "-C", &connection])?;
    let wanted = [format!("forcecommand {program} serve"), "usepam yes".to_owned()];
    for setting in wanted {
        if !settings.lines().any(|line| line == setting) {
            let hint = "does sshd_config begin with Include /etc/ssh/sshd_config.d/*.conf?";
            let message = format!("sshd does not take up '{setting}': {hint}");
            return Err(Fault::permanent("sshd_ignores", message));
        }
    }
    Ok(())
}

fn write_pam(program: &str) -> Outcome<()> {
    // Tenants: joined to their cgroup before they may enter, and no session modules, which could move them out of it or start
    // services in their name. Everybody else never meets this program.
    let sshd = format!(
        "account [success=1 default=ignore] pam_succeed_if.so quiet user notingroup {TENANT_GROUP}
account requisite pam_exec.so quiet {program} pam-join
session [success=done default=ignore] pam_succeed_if.so quiet user ingroup {TENANT_GROUP}
session [success=done default=ignore] pam_succeed_if.so quiet user = {CONTROL_ACCOUNT}
"
    );
    let deny =
        format!("account requisite pam_succeed_if.so quiet user notingroup {TENANT_GROUP}\n");
    let [ours, vendors] = PAM;
    if !put_block((ours, vendors), "sshd", &sshd)? {
        let message = format!("{ours}/sshd does not exist: is OpenSSH built without PAM?");
        return Err(Fault::permanent("pam_missing", message));
    }
    for service in OUTSIDE {
        put_block((ours, vendors), service, &deny)?;
    }
    Ok(())
}

/// Puts a block at the top of a service's file, if it has one. What the distribution keeps elsewhere is first copied to where it may be
/// changed. Answers whether there is such a service.
fn put_block((ours, vendors): (&str, &str), service: &str, block: &str) -> Outcome<bool> {
    let path = Path::new(ours).join(service);
    let mut text = system::read(&path)?;
    if text.is_none() {
        text = system::read(&Path::new(vendors).join(service))?;
    }
    let Some(text) = text else { return Ok(false) };
    let mode = fs::metadata(&path).map_or(0o644, |found| {
        std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o7777
    });
    system::write_atomically(&path, with_block(&text, block).as_bytes(), mode).map(|()| true)
}

/// The text with our block, and only one of it, at the top.
fn with_block(text: &str, block: &str) -> String {
    let mut rest = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside |= line == BEGIN;
        if !inside {
            rest.push_str(line);
            rest.push('\n');
        }
        inside &= line != END;
    }
    format!("{BEGIN}\n{block}{END}\n{rest}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{OUTSIDE, put_block, with_block};

    #[test]
    fn tenants_are_denied_what_would_run_outside_their_cgroup() {
        assert!(OUTSIDE.contains(&"systemd-user") && OUTSIDE.contains(&"cron"));
        let directory = tempfile::tempdir().unwrap();
        let [ours, vendors] = ["etc", "lib"].map(|name| directory.path().join(name));
        for (path, service) in [(&ours, "cron"), (&vendors, "cron"), (&vendors, "systemd-user")] {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join(service), format!("account include {service}\n")).unwrap();
        }
        let places = (ours.to_str().unwrap(), vendors.to_str().unwrap());
        for service in ["cron", "systemd-user"] {
            assert!(put_block(places, service, "account requisite no\n").unwrap());
            let text = fs::read_to_string(ours.join(service)).unwrap();
            let after = format!("# END cairn\naccount include {service}\n");
            assert_eq!(text, format!("# BEGIN cairn\naccount requisite no\n{after}"));
        }
        assert!(!put_block(places, "atd", "account requisite no\n").unwrap());
        assert!(!ours.join("atd").exists());
    }

    #[test]
    fn the_block_is_there_once_however_often_it_is_put() {
        let once = with_block("@include common-auth\n", "account required x\n");
        assert!(once.starts_with("# BEGIN cairn\naccount required x\n# END cairn\n@include"));
        assert_eq!(with_block(&once, "account required x\n"), once);
    }
}
