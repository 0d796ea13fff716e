//! One letter to one person, or to everybody who sees to an organisation's money. It is written here, where addresses and codes can be read;
//! what was erased meanwhile is not sent.
use cairn_core::money::format_nanos;
use cairn_core::{Currency, Month, Nanos, OrganisationId, ProjectId, Timestamp};
use cairn_identity::{LinkPurpose, Organisation, Role, User};
use cairn_ledger::{Alert, AlertOn, Assessment, SpendingLimit, Stage};

use crate::ports::{Mail, PortError};
use crate::processes::{FundsNews, Letter, Reached};

use super::Act;
use super::send_paper::send_paper;
use super::{write_payment, write_top_up};

/// What is said where no letter can be sent.
pub(super) const UNCONFIGURED: &str = "mail_unconfigured";
/// The same, and what the server says of a letter that it will never take.
const HOPELESS: [&str; 3] = ["mail_refused", "mail_malformed", UNCONFIGURED];

pub(super) async fn send_mail(
    act: &Act<'_>,
    letter: &Letter,
    until: Timestamp,
) -> Result<(), PortError> {
    if act.now() >= until {
        return Ok(());
    }
    let written = match letter {
        Letter::Funds { seen, about } => {
            write_about_money(act, seen.organisation_id, funds(seen, *about)).await?
        }
        Letter::Spending { organisation_id, reached } => {
            write_about_money(act, *organisation_id, spending(reached)).await?
        }
        Letter::Alert { organisation_id, project_id, currency, alert, month, seen_nanos } => {
            let text = alerted((*alert, *project_id), (*currency, *month), *seen_nanos);
            write_about_money(act, *organisation_id, text).await?
        }
        Letter::TopUp { organisation_id, currency, news } => {
            write_about_money(act, *organisation_id, write_top_up::words(news, *currency)).await?
        }
        Letter::Payment { payment_id, news } => {
            let Some((organisation_id, text)) =
                write_payment::words(act, *payment_id, news).await?
            else {
                return Ok(());
            };
            write_about_money(act, organisation_id, text).await?
        }
        Letter::Paper { organisation_id, paper, number } => {
            return send_paper(act, *organisation_id, (*paper, number)).await;
        }
        letter => write(act, letter).await?.into_iter().collect(),
    };
    for (nth, (to, subject, text)) in written.into_iter().enumerate() {
        let (message_id, subject) = (message_id(act, nth), subject.to_owned());
        // Whoever waits for it asks again; no operator can do it for them.
        let mail = Mail { message_id, to, subject, text, attachments: vec![] };
        let _hopeless = hand_over(act, mail).await?;
    }
    Ok(())
}

/// The same in every attempt at one letter; those to several people are counted from 0.
pub(super) fn message_id(act: &Act<'_>, nth: usize) -> String {
    let of_one = act.intent_id.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    if nth == 0 { of_one } else { format!("{of_one}-{nth}") }
}

/// Hands a letter over. The error within: it will never be taken, and that was noted.
pub(super) async fn hand_over(
    act: &Act<'_>,
    mail: Mail,
) -> Result<Result<(), PortError>, PortError> {
    match act.call(act.effects.mail.send(mail)).await {
        Err(error) if HOPELESS.contains(&&*error.code) => {
            tracing::warn!(%error, intent_id = act.intent_id, "a letter was not sent");
            Ok(Err(error))
        }
        other => other.map(Ok),
    }
}

/// To whom, the subject, and the text.
type Written = (String, &'static str, String);

/// The letter in words; none when whom it is for, or what it is about, was erased.
async fn write(act: &Act<'_>, letter: &Letter) -> Result<Option<Written>, PortError> {
    let personal = act.executor.personal();
    let written = match letter {
        // Go to several people.
        Letter::Funds { .. }
        | Letter::Spending { .. }
        | Letter::Alert { .. }
        | Letter::TopUp { .. }
        | Letter::Payment { .. }
        | Letter::Paper { .. } => return Ok(None),
        Letter::Code { user_id, purpose, token } => {
            let user = act.load::<User>(&user_id.to_string()).await?;
            let (to, token) = (personal.open(&user.email).await?, personal.open(token).await?);
            let (Some(to), Some(token)) = (to, token) else { return Ok(None) };
            let (subject, text) = code(*purpose, &token);
            (to, subject, text)
        }
        Letter::Reminder { user_id } => {
            let user = act.load::<User>(&user_id.to_string()).await?;
            let Some(to) = personal.open(&user.email).await? else { return Ok(None) };
            let text = "Somebody, perhaps you, tried to register this address.\n\
                It has an account already.\n\n\
                If it was you: sign in, or ask for a new password.\n\
                If not: nothing has changed, and there is nothing to do.\n";
            (to, "You have an account already", text.to_owned())
        }
        Letter::Erasure { user_id, due_at } => {
            let user = act.load::<User>(&user_id.to_string()).await?;
            let Some(to) = personal.open(&user.email).await? else { return Ok(None) };
            let text = format!(
                "Somebody who knows your password asked that your account be closed and\n\
                 everything personal be erased. It is done after {due_at}, for good.\n\n\
                 If it was not you, or you think better of it: sign in, cancel it\n\
                 (POST /v1/me/erasure/cancel), and change your password.\n"
            );
            (to, "Your account is to be erased", text)
        }
        Letter::Invitation { organisation_id, email, role, token } => {
            let organisation = act.load::<Organisation>(&organisation_id.to_string()).await?;
            let (to, token) = (personal.open(email).await?, personal.open(token).await?);
            let name = personal.open(&organisation.name).await?;
            let (Some(to), Some(token), Some(name)) = (to, token, name) else { return Ok(None) };
            let role = role.name();
            let text = format!(
                "You are invited into the organisation \"{name}\", as {role}.\n\n\
                 Register with this address if you have no account yet, sign in,\n\
                 and accept with this code (POST /v1/invitations/accept).\n\
                 It works once, for seven days:\n\n    {token}\n"
            );
            (to, "An invitation", text)
        }
    };
    Ok(Some(written))
}

/// One letter for each who sees to an organisation's money.
async fn write_about_money(
    act: &Act<'_>,
    organisation_id: OrganisationId,
    (subject, text): (&'static str, String),
) -> Result<Vec<Written>, PortError> {
    let organisation = act.load::<Organisation>(&organisation_id.to_string()).await?;
    let Some(name) = act.executor.personal().open(&organisation.name).await? else {
        return Ok(vec![]);
    };
    let text = format!("Organisation: {name}\n\n{text}");
    let to = who_sees_to_money(act, organisation).await?;
    Ok(to.into_iter().map(|to| (to, subject, text.clone())).collect())
}

/// Addresses of the owners, administrators and finance members of an organisation, as far as they are proven.
pub(super) async fn who_sees_to_money(
    act: &Act<'_>,
    organisation: Organisation,
) -> Result<Vec<String>, PortError> {
    let mut addresses = vec![];
    for member in organisation.members {
        if !matches!(member.role, Role::Owner | Role::Admin | Role::Finance) {
            continue;
        }
        let user = act.load::<User>(&member.user_id.to_string()).await?;
        let address = act.executor.personal().open(&user.email).await?;
        addresses.extend(address.filter(|_| user.verified));
    }
    Ok(addresses)
}

fn spending(reached: &Reached) -> (&'static str, String) {
    let Reached { limit, project_id, currency, month, limit_nanos, spent_nanos } = reached;
    let [limit_at, spent] = [*limit_nanos, *spent_nanos].map(format_nanos);
    let (within, runs, path) = match project_id {
        None => (String::new(), "What runs", "/v1/spending-limits".to_owned()),
        Some(id) => {
            let path = format!("/v1/projects/{id}/spending-limits");
            (format!(" within the project\n{id}"), "What runs in it", path)
        }
    };
    match limit {
        SpendingLimit::Warn => (
            "You have used what you wanted to be told of",
            format!(
                "In {month}, {spent} {currency} were used until now{within}; you asked to be told at\n\
                 {limit_at} {currency}. Nothing stops because of that.\n"
            ),
        ),
        SpendingLimit::Stop => (
            "Your spending limit is reached",
            format!(
                "In {month}, {spent} {currency} were used until now{within}, and what is set aside for what\n\
                 runs reaches your limit of {limit_at} {currency}. {runs} is stopped as what is\n\
                 set aside for it is used; its data is kept, and nothing is charged for it.\n\
                 It starts again by itself with the next month, or when you raise the limit\n\
                 (PUT {path}).\n"
            ),
        ),
    }
}

fn alerted(
    (alert, project_id): (Alert, Option<ProjectId>),
    (currency, month): (Currency, Month),
    seen_nanos: Nanos,
) -> (&'static str, String) {
    let [amount, seen] = [alert.amount_nanos, seen_nanos].map(format_nanos);
    let (within, path) = match project_id {
        None => (String::new(), "/v1/alerts".to_owned()),
        Some(id) => (format!(" within the project\n{id}"), format!("/v1/projects/{id}/alerts")),
    };
    match alert.on {
        AlertOn::Spent => (
            "You have used what you wanted to be told of",
            format!(
                "In {month}, {seen} {currency} were used until now{within}; you asked to be told at\n\
                 {amount} {currency}. Nothing stops because of that. Change what you are told\n\
                 with PUT {path}.\n"
            ),
        ),
        AlertOn::BalanceBelow => (
            "Your balance is lower than you wanted to be told of",
            format!(
                "There are {seen} {currency} left, what is set aside for rentals included; you\n\
                 asked to be told below {amount} {currency}. Pay in more (POST /v1/top-ups), or\n\
                 change what you are told with PUT /v1/alerts.\n"
            ),
        ),
    }
}

fn funds(seen: &Assessment, about: FundsNews) -> (&'static str, String) {
    let currency = seen.currency;
    let [funds, per_hour] = [seen.funds_nanos, seen.nanos_per_hour].map(format_nanos);
    let pay = "Pay in more (POST /v1/top-ups), or release what you do not need.\n";
    let day = |until: Option<Timestamp>| {
        until.map_or_else(|| "soon".to_owned(), |until| format!("after {until}"))
    };
    match about {
        FundsNews::RunsOut { hours, runs_out_at } => (
            "Your balance is running out",
            format!(
                "There are {funds} {currency} left, and {per_hour} {currency} are used per hour:\n\
                 enough for less than {hours} hours, until {runs_out_at}.\n\n\
                 What runs then is stopped; its data is kept for a while. {pay}"
            ),
        ),
        FundsNews::Stage { stage: Stage::Suspended, until } => (
            "Your rentals are suspended",
            format!(
                "The balance is used up. Rentals that it does not pay for were stopped; nothing is\n\
                 charged for them, and their data is kept. They start again by themselves when\n\
                 there is enough for an hour of each. Without that, a day for deleting the data\n\
                 is set {}.\n\n{pay}",
                day(until)
            ),
        ),
        FundsNews::Stage { stage: Stage::Retention, until } => (
            "The data of your rentals will be deleted",
            format!(
                "Your rentals are still suspended. Their data is deleted {}, for good.\n\n{pay}",
                day(until)
            ),
        ),
        FundsNews::Stage { stage: Stage::Released, .. } => (
            "The data of your rentals is deleted",
            "The time for which the data of suspended rentals was kept is over.\n\
             They were released, and their data is deleted.\n"
                .to_owned(),
        ),
        FundsNews::Stage { stage: Stage::Ok | Stage::Low | Stage::Grace, .. } => (
            "Your rentals run again",
            format!(
                "There are {funds} {currency} in your balance: what was suspended was started again\n\
                 with its data, or is just being started.\n"
            ),
        ),
    }
}

fn code(purpose: LinkPurpose, token: &str) -> (&'static str, String) {
    let ignore = "If you did not ask for it, there is nothing to do.\n";
    match purpose {
        LinkPurpose::VerifyEmail => (
            "Your address",
            format!(
                "This code proves that the address is yours\n\
                 (POST /v1/email-verifications). It works once, for a day:\n\n    {token}\n\n{ignore}"
            ),
        ),
        LinkPurpose::ResetPassword => (
            "A new password",
            format!(
                "With this code you set a new password\n\
                 (POST /v1/password-resets/confirm). It works once, for an hour:\n\n    {token}\n\n{ignore}"
            ),
        ),
    }
}
