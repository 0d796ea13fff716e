//! What there is of an allocation, whole or in part, its claim on the uid aside.
use std::path::Path;

use cairn_node::{Step, tenant_principal};

use super::{Allocation, home};
use crate::fault::Outcome;
use crate::user_manager::Units;
use crate::{cgroup, journal, mounts, system};

/// Whether anything of a step is there, as it must be or not.
pub fn is_there(allocation: Allocation<'_>, step: Step) -> Outcome<bool> {
    let (config, tenant) = (allocation.config, allocation.tenant);
    match step {
        Step::Uid => Ok(journal::owner_of(config, tenant.uid)?.is_some()),
        Step::Home => Ok(allocation.image().exists() || home::is_ours(allocation)),
        Step::User => Ok(system::account(&tenant.login)?.is_some()),
        Step::Limits => Ok(cgroup::find(&config.cgroup_root)
            .is_some_and(|limiter| !limiter.present(allocation.id).is_empty())),
        Step::Access => Ok([config.keys(), config.principals()]
            .iter()
            .any(|directory| directory.join(&tenant.login).is_file())),
    }
}

/// What bears the allocation's id: it is the allocation's, whoever has claimed the uid.
pub fn of_id(allocation: Allocation<'_>) -> Outcome<Vec<String>> {
    let config = allocation.config;
    let mut left = Vec::new();
    if let Some(limiter) = cgroup::find(&config.cgroup_root) {
        let present = limiter.present(allocation.id);
        left.extend(present.iter().map(|path| format!("cgroup {}", path.display())));
    }
    let image = allocation.image();
    let half = image.with_extension("new");
    left.extend([image, half].iter().filter(|path| path.is_file()).map(|path| file(path)));
    let principals = config.principals().join(&allocation.tenant.login);
    let ours = tenant_principal(allocation.id);
    if system::read(&principals)?.is_some_and(|text| text.lines().any(|line| line == ours)) {
        left.push(file(&principals));
    }
    Ok(left)
}

/// What the steps after the first have made.
pub fn of_steps(allocation: Allocation<'_>) -> Outcome<Vec<String>> {
    let (tenant, config) = (allocation.tenant, allocation.config);
    let mut left = of_id(allocation)?;
    if let Some(account) = system::account(&tenant.uid.to_string())? {
        // A stranger's account with this uid is not ours to remove, nor left of us.
        if account.login == tenant.login {
            left.push(format!("user {}", account.login));
        }
    }
    let at = allocation.home();
    let mut points = mounts::of_tenant(&at, tenant.uid)?;
    points.extend(mounts::at(&at)?.map(|mount| mount.point));
    if points.is_empty() && home::is_ours(allocation) {
        left.push(format!("directory {}", at.display()));
    }
    left.extend(points.iter().map(|point| format!("mount {}", point.display())));
    let names = [config.keys(), config.principals()].map(|path| path.join(&tenant.login));
    let mask = Units::default().mask_left(tenant.uid);
    left.extend(
        names.into_iter().filter(|path| path.is_file()).chain(mask).map(|path| file(&path)),
    );
    left.sort();
    left.dedup();
    Ok(left)
}

fn file(path: &Path) -> String {
    format!("file {}", path.display())
}
