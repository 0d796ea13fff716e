//! A log of many organisations that rent: what wallets and allocations say, mixed as when many rent at once.
use std::fmt::Write as _;

use cairn_compute::{AllocationEvent, PinnedPrice, Placement, ReleaseReason, Step};
use cairn_core::{
    AllocationId, Currency, DomainEvent, HoldId, JournalTransaction, Nanos, NodeId, OrganisationId,
    PaymentId, Resources, Timestamp, chart,
};
use cairn_ledger::{LotUse, WalletEvent};
use serde::Serialize;

use crate::Failure;

const ORGANISATIONS: usize = 1_000;
/// Allocations that live at the same time.
const RENTERS: usize = 2_000;
/// Times that each is metered, charged, and its hold extended.
const ROUNDS: usize = 12;
const FIRST_ROUND: usize = 5 + Step::ALL.len();
const LAST_ROUND: usize = FIRST_ROUND + 3 * ROUNDS;
const CURRENCY: Currency = Currency::USD;
const TOP_UP: Nanos = 1_000_000_000_000_000;
const CHARGE: Nanos = 10_000_000;
const SECONDS: i64 = 3_600;

/// Columns of `events`, in the order in which [`Mixed::lines`] writes them.
pub const COLUMNS: &str =
    "position, recorded_at, aggregate_type, aggregate_id, sequence, event_type,
    event_version, payload, metadata, command_id";

/// One allocation on its way.
#[derive(Clone, Copy)]
struct Renter {
    number: u128,
    owner: usize,
    stage: usize,
    sequence: i64,
}

/// The log so far; the same every time.
pub struct Mixed {
    random: u64,
    position: i64,
    allocations: u128,
    renters: Vec<Renter>,
    wallets: Vec<i64>,
}

fn organisation(owner: usize) -> OrganisationId {
    OrganisationId::from_bits(owner as u128 + 1)
}

fn payment(owner: usize) -> PaymentId {
    PaymentId::from_bits(owner as u128 + 1)
}

impl Mixed {
    pub fn new() -> Self {
        let mut mixed = Self {
            random: 20_261_127,
            position: 0,
            allocations: 0,
            renters: vec![],
            wallets: vec![0; ORGANISATIONS],
        };
        mixed.renters = (0..RENTERS).map(|_| mixed.renter()).collect();
        mixed
    }

    /// As many more events, as lines of a COPY.
    pub fn lines(&mut self, count: i64) -> Result<String, Failure> {
        let mut lines = String::with_capacity(usize::try_from(count)? * 640);
        for _ in 0..count {
            self.position += 1;
            match usize::try_from(self.position - 1)? {
                owner if owner < ORGANISATIONS => self.top_up(&mut lines, owner)?,
                _ => self.next(&mut lines)?,
            }
        }
        Ok(lines)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap_or(0)
    }

    fn renter(&mut self) -> Renter {
        self.allocations += 1;
        let owner = self.below(ORGANISATIONS);
        Renter { number: self.allocations, owner, stage: 0, sequence: 0 }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_790_000_000_000_000 + self.position * 1_000)
    }

    fn top_up(&mut self, lines: &mut String, owner: usize) -> Result<(), Failure> {
        let journal = JournalTransaction::transfer(
            ("top_up", "stripe", &format!("ch_{owner}")),
            (CURRENCY, TOP_UP),
            (chart::stripe(CURRENCY), chart::wallet_paid(organisation(owner), CURRENCY)),
            self.now(),
        );
        let event = WalletEvent::ToppedUp {
            organisation_id: organisation(owner),
            currency: CURRENCY,
            payment_id: payment(owner),
            amount_nanos: TOP_UP,
            journal,
        };
        self.of_wallet(lines, owner, &event)
    }

    /// Somebody's next step.
    fn next(&mut self, lines: &mut String) -> Result<(), Failure> {
        let index = self.below(RENTERS);
        let renter = self.renters[index];
        if let Some(event) = self.wallet_event(renter) {
            self.of_wallet(lines, renter.owner, &event)?;
        } else {
            let event = self.allocation_event(renter);
            let renter = &mut self.renters[index];
            renter.sequence += 1;
            let (sequence, id) = (renter.sequence, AllocationId::from_bits(renter.number));
            self.line(lines, ("allocation", &id.to_string(), sequence), &event)?;
        }
        self.renters[index].stage += 1;
        if renter.stage == LAST_ROUND + 3 {
            self.renters[index] = self.renter();
        }
        Ok(())
    }

    fn wallet_event(&self, renter: Renter) -> Option<WalletEvent> {
        let hold_id = HoldId::from_bits(renter.number);
        let expires_at = self.now().plus_secs(2 * SECONDS);
        let rounds = i64::try_from(renter.stage.saturating_sub(FIRST_ROUND) / 3 + 1).ok()?;
        Some(match renter.stage {
            1 => WalletEvent::HoldPlaced {
                hold_id,
                purpose: AllocationId::from_bits(renter.number).to_string(),
                amount_nanos: 2 * CHARGE,
                promotional_nanos: 0,
                expires_at,
            },
            stage if stage == LAST_ROUND + 2 => WalletEvent::HoldReleased {
                hold_id,
                amount_nanos: 2 * CHARGE,
                promotional_nanos: 0,
            },
            stage if (FIRST_ROUND..LAST_ROUND).contains(&stage) => {
                match (stage - FIRST_ROUND) % 3 {
                    1 => self.captured(renter, hold_id, rounds),
                    2 => WalletEvent::HoldExtended {
                        hold_id,
                        amount_nanos: CHARGE,
                        promotional_nanos: 0,
                        expires_at,
                    },
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    fn captured(&self, renter: Renter, hold_id: HoldId, rounds: i64) -> WalletEvent {
        let paid = chart::wallet_paid(organisation(renter.owner), CURRENCY);
        let journal = JournalTransaction::transfer(
            ("usage", "usage", &format!("{hold_id}:{}", rounds * CHARGE)),
            (CURRENCY, CHARGE),
            (paid, "usage:compute:USD".to_owned()),
            self.now(),
        );
        WalletEvent::UsageCaptured {
            hold_id,
            amount_nanos: CHARGE,
            total_nanos: rounds * CHARGE,
            seconds: rounds * SECONDS,
            credits: vec![],
            lots: vec![LotUse { payment_id: payment(renter.owner), amount_nanos: CHARGE }],
            tax: None,
            journal,
        }
    }

    fn allocation_event(&self, renter: Renter) -> AllocationEvent {
        use AllocationEvent as E;
        let at = self.now();
        let uid = 20_000 + u32::try_from(renter.number % 40_000).unwrap_or(0);
        match renter.stage {
            0 => E::Requested {
                allocation_id: AllocationId::from_bits(renter.number),
                organisation_id: organisation(renter.owner),
                sku_id: "small".to_owned(),
                resources: Resources {
                    cpu_millis: 500,
                    memory_bytes: 128 << 20,
                    disk_bytes: 128 << 20,
                    pids_max: 64,
                },
                price: PinnedPrice::flat(1, CURRENCY, CHARGE),
                ssh_public_key: format!(
                    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{:043}",
                    renter.number
                ),
                node_id: None,
                at,
            },
            2 => E::Reserved {
                placement: Placement {
                    node_id: NodeId::from_bits(renter.number % 500 + 1),
                    uid,
                    hold_id: HoldId::from_bits(renter.number),
                },
                at,
            },
            3 => E::ProvisioningStarted { login: format!("t{uid}"), at },
            stage if stage < FIRST_ROUND - 1 => E::StepCompleted {
                step: Step::ALL[stage - 4],
                observed: "as wanted".to_owned(),
                at,
            },
            stage if stage == FIRST_ROUND - 1 => E::Activated { proof: format!("uid={uid}"), at },
            stage if stage < LAST_ROUND => {
                E::Metered { through: at, unproven_seconds: 0, late_seconds: 0, at }
            }
            stage if stage == LAST_ROUND => {
                E::ReleaseRequested { reason: ReleaseReason::Customer, at }
            }
            stage if stage == LAST_ROUND + 1 => {
                E::TeardownVerified { evidence: "nothing left".to_owned(), at }
            }
            _ => E::Released {
                active_seconds: SECONDS * ROUNDS as i64,
                charged_nanos: CHARGE * ROUNDS as i64,
                at,
            },
        }
    }

    fn of_wallet(
        &mut self,
        lines: &mut String,
        owner: usize,
        event: &WalletEvent,
    ) -> Result<(), Failure> {
        self.wallets[owner] += 1;
        let id = cairn_ledger::wallet_id(organisation(owner), CURRENCY);
        self.line(lines, ("wallet", &id, self.wallets[owner]), event)
    }

    fn line<E: DomainEvent + Serialize>(
        &self,
        lines: &mut String,
        (aggregate_type, aggregate_id, sequence): (&str, &str, i64),
        event: &E,
    ) -> Result<(), Failure> {
        let (position, at) = (self.position, self.now());
        let (event_type, version) = (event.event_type(), event.event_version());
        let payload = serde_json::to_string(event)?.replace('\\', "\\\\");
        let command = format!("bench-{position}");
        let metadata = format!(
            r#"{{"actor":"process:bench","correlation_id":"{command}","command_id":"{command}"}}"#
        );
        writeln!(
            lines,
            "{position}\t{at}\t{aggregate_type}\t{aggregate_id}\t{sequence}\t{event_type}\t{version}\t{payload}\t{metadata}\t{command}"
        )?;
        Ok(())
    }
}
