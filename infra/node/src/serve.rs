//! One document in, one document out.
use std::collections::BTreeMap;
use std::io::{Read, Write};

use cairn_node::{Answer, Observed, Operation, Request, Step, TenantArguments};

use crate::config::Config;
use crate::fault::{Fault, Outcome, While};
use crate::journal::{self, Held};
use crate::steps::{self, Allocation};
use crate::{facts, install, inventory, suspend, teardown};

/// A request is small; whatever is longer is not one.
const REQUEST_BYTES_MAX: u64 = 64 << 10;

/// Reads a request, carries it out, writes the answer.
pub fn serve(input: impl Read, mut output: impl Write) -> Outcome<()> {
    let answer = read(input).and_then(|request| answer(&request)).unwrap_or_else(Fault::answer);
    let mut text = serde_json::to_vec(&answer)
        .map_err(|error| Fault::permanent("answer_invalid", error.to_string()))?;
    text.push(b'\n');
    output.write_all(&text).and_then(|()| output.flush()).doing("answering")
}

fn read(input: impl Read) -> Outcome<Request> {
    let mut text = String::new();
    input.take(REQUEST_BYTES_MAX).read_to_string(&mut text).doing("reading the request")?;
    serde_json::from_str(&text)
        .map_err(|error| Fault::permanent("request_invalid", error.to_string()))
}

fn answer(request: &Request) -> Outcome<Answer> {
    let config = Config::load()?;
    match request.op {
        Operation::Facts => facts::gather(&config).map(Answer::Facts),
        Operation::Inspect => {
            let held = journal::hold(&config, &request.allocation_id)?;
            inspect(&config, &held, request).map(Answer::Inspected)
        }
        Operation::Inventory => inventory::gather(&config).map(Answer::Inventory),
        Operation::Certify => certify(&config, request),
        Operation::Ensure | Operation::Undo | Operation::Suspend | Operation::Teardown => {
            change(&config, request)
        }
    }
}

/// Host certificates have no journal: the last ones are the ones.
fn certify(config: &Config, request: &Request) -> Outcome<Answer> {
    let missing = || Fault::permanent("certificates_missing", "this verb needs certificates");
    let renewed = request.args.certificates.as_ref().ok_or_else(missing)?;
    install::certify(config, renewed)?;
    Ok(Answer::Done { observed: format!("certified, serial {}", renewed.serial), replayed: false })
}

fn inspect(config: &Config, held: &Held, request: &Request) -> Outcome<Observed> {
    match held.record.tenant.as_ref().or(request.args.tenant.as_ref()) {
        Some(tenant) => {
            teardown::observe(Allocation { config, id: &request.allocation_id, tenant })
        }
        None => Ok(Observed::default()),
    }
}

fn change(config: &Config, request: &Request) -> Outcome<Answer> {
    if request.key.is_empty() || request.key.len() > 200 {
        return Err(Fault::permanent("key_missing", "a change needs a key of 1 to 200 bytes"));
    }
    if let Some(tenant) = &request.args.tenant {
        Allocation { config, id: &request.allocation_id, tenant }.check()?;
    }
    let mut held = journal::hold(config, &request.allocation_id)?;
    if let Some(given) = held.record.admit(request)? {
        return Ok(given);
    }
    // The generation is on disk before anything is touched: an older wish cannot slip in after a crash.
    held.save()?;
    let tenant = held.record.tenant.as_ref().or(request.args.tenant.as_ref());
    let answer = match tenant {
        Some(tenant) => act(config, request, tenant)?,
        None => return Err(Fault::permanent("tenant_missing", "nothing is known of it here")),
    };
    let settled = match &answer {
        Answer::TornDown { left, .. } => left.is_empty(),
        _ => true,
    };
    if settled {
        held.record.remember(request, &answer);
        held.save()?;
    }
    Ok(answer)
}

fn act(config: &Config, request: &Request, tenant: &TenantArguments) -> Outcome<Answer> {
    let allocation = Allocation { config, id: &request.allocation_id, tenant };
    let step = || {
        let missing = || Fault::permanent("step_missing", "this verb needs a step");
        request.args.step.ok_or_else(missing)
    };
    match request.op {
        Operation::Ensure => {
            let observed = steps::ensure(allocation, step()?)?;
            Ok(Answer::Done { observed, replayed: false })
        }
        Operation::Undo => undo(allocation, step()?),
        Operation::Suspend => suspend::run(allocation),
        Operation::Teardown => teardown::run(allocation),
        Operation::Facts | Operation::Inspect | Operation::Certify | Operation::Inventory => {
            Err(Fault::permanent("request_invalid", "this verb is not about an allocation"))
        }
    }
}

fn undo(allocation: Allocation<'_>, step: Step) -> Outcome<Answer> {
    steps::undo(allocation, step)?;
    Ok(Answer::Done { observed: format!("{} is undone", step.name()), replayed: false })
}

/// What there is of every allocation that is live here.
pub fn inspect_all() -> Outcome<BTreeMap<String, Observed>> {
    let config = Config::load()?;
    let mut all = BTreeMap::new();
    for id in journal::all(&config)? {
        let held = journal::hold(&config, &id)?;
        if let Some(tenant) = held.record.tenant.as_ref().filter(|_| held.record.is_live()) {
            let allocation = Allocation { config: &config, id: &id, tenant };
            all.insert(id.clone(), teardown::observe(allocation)?);
        }
    }
    Ok(all)
}
