//! Billing details of an organisation: who its invoices are made out to. The stream's id is the organisation's.
//!
//! Lifecycle: set, and set anew. All but the country is personal; papers that were issued keep what it was then.
use cairn_core::{
    Decider, OrganisationId, Refusal, Subject, Text, Texts, Timestamp, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

use crate::entity::is_text;

/// Who an invoice is made out to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Name, 1 to 200 characters.
    pub name: String,
    /// Address, lines apart by line feeds, 1 to 500 characters.
    pub address: String,
    /// ISO 3166-1 alpha-2, for example `CH`.
    pub country: String,
    /// Its number with the tax authorities, up to 50 characters; empty when it has none.
    pub tax_id: String,
    /// Where invoices and credit notes go to; empty: to whoever sees to the organisation's money.
    pub email: String,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum BillingEvent {
    #[serde(rename = "billing.details_set")]
    DetailsSet { organisation_id: OrganisationId, customer: Customer, at: Timestamp },
}

domain_event!(BillingEvent {
    DetailsSet => "billing.details_set", 1;
});

impl Texts for BillingEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("organisation_id", Text::Kept),
        ("customer.name", Text::Name),
        ("customer.address", Text::Name),
        ("customer.country", Text::Kept),
        ("customer.tax_id", Text::Name),
        ("customer.email", Text::Name),
        ("at", Text::Kept),
    ];
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum BillingCommand {
    Set { organisation_id: OrganisationId, customer: Customer, at: Timestamp },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BillingError {
    #[error("{0}")]
    Invalid(&'static str),
}

impl Refusal for BillingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "billing_details_invalid",
        }
    }
}

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Billing {
    pub organisation_id: Option<OrganisationId>,
    pub customer: Option<Customer>,
}

impl Decider for Billing {
    const TYPE: &'static str = "billing";
    type Command = BillingCommand;
    type Event = BillingEvent;
    type Error = BillingError;

    fn decide(&self, command: BillingCommand) -> Result<Vec<BillingEvent>, BillingError> {
        let BillingCommand::Set { organisation_id, customer, at } = command;
        customer.check()?;
        if self.customer.as_ref() == Some(&customer) {
            return Ok(vec![]);
        }
        Ok(vec![BillingEvent::DetailsSet { organisation_id, customer, at }])
    }

    fn evolve(mut self, event: BillingEvent) -> Self {
        let BillingEvent::DetailsSet { organisation_id, customer, .. } = event;
        (self.organisation_id, self.customer) = (Some(organisation_id), Some(customer));
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }

    fn personal(&mut self) -> Vec<&mut String> {
        let Some(customer) = &mut self.customer else { return vec![] };
        let Customer { name, address, country: _, tax_id, email } = customer;
        vec![name, address, tax_id, email]
    }
}

cqrs_aggregate!(Billing);

impl Customer {
    fn check(&self) -> Result<(), BillingError> {
        let invalid =
            |holds: bool, why| if holds { Ok(()) } else { Err(BillingError::Invalid(why)) };
        invalid(is_text(&self.name, 200), "name: 1 to 200 characters, and no control characters")?;
        let address = self.address.replace('\n', " ");
        invalid(is_text(&address, 500), "address: 1 to 500 characters")?;
        invalid(is_country(&self.country), "country: a code of ISO 3166-1 alpha-2, such as CH")?;
        let tax_id = self.tax_id.is_empty() || is_text(&self.tax_id, 50);
        invalid(tax_id, "tax_id: up to 50 characters")?;
        let email = self.email.is_empty() || is_address(&self.email);
        invalid(email, "email: an address of mail, such as invoices@example.com")
    }
}

fn is_address(text: &str) -> bool {
    let plain = text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = text.split_once('@').filter(|(user, host)| !user.is_empty() && !host.contains('@'));
    plain && parts.is_some_and(|(_, host)| host.split('.').all(|label| !label.is_empty()))
}

/// Whether a code is assigned by ISO 3166-1 alpha-2.
#[must_use]
pub fn is_country(code: &str) -> bool {
    code.len() == 2 && COUNTRIES.split_ascii_whitespace().any(|known| known == code)
}

/// Source: ISO 3166-1, officially assigned codes.
const COUNTRIES: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP \
MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA \
RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT \
TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";
