//! SSH public keys as customers send them: one line `type base64` whose blob is a whole key of that type, strong enough for sshd.
//!
//! The blob is that of RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4 and OpenSSH's `PROTOCOL.u2f`: strings with a length of four bytes before
//! them, the first of which is the type again.
use crate::allocation::AllocationError;

/// An RSA modulus has at least so many bits: OpenSSH refuses shorter ones by now, or will.
const RSA_BITS_MIN: usize = 2_048;
/// And at most so many: OpenSSH reads no longer ones.
const RSA_BITS_MAX: usize = 16_384;

/// Checks that this is a public key that opens a login: `type base64`, without options and comment.
///
/// # Errors
/// `ssh_public_key_invalid`.
pub fn check_public_key(text: &str) -> Result<(), AllocationError> {
    let key = text.split_once(' ').and_then(|(kind, body)| is_key_of(kind, body));
    key.ok_or(AllocationError::BadPublicKey)
}

fn is_key_of(kind: &str, body: &str) -> Option<()> {
    let blob = base64(body)?;
    let mut rest = &blob[..];
    (string(&mut rest)? == kind.as_bytes()).then_some(())?;
    match kind {
        "ssh-ed25519" => exactly(&mut rest, 32)?,
        "ssh-rsa" => rsa(&mut rest)?,
        "ecdsa-sha2-nistp256" => point(&mut rest, "nistp256", 32)?,
        "ecdsa-sha2-nistp384" => point(&mut rest, "nistp384", 48)?,
        "ecdsa-sha2-nistp521" => point(&mut rest, "nistp521", 66)?,
        "sk-ssh-ed25519@openssh.com" => {
            exactly(&mut rest, 32)?;
            application(&mut rest)?;
        }
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            point(&mut rest, "nistp256", 32)?;
            application(&mut rest)?;
        }
        _ => return None,
    }
    rest.is_empty().then_some(())
}

/// Takes a string off the front.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (string, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(string)
}

fn exactly(rest: &mut &[u8], length: usize) -> Option<()> {
    (string(rest)?.len() == length).then_some(())
}

/// An uncompressed point of a curve: both coordinates after a 4.
fn point(rest: &mut &[u8], curve: &str, bytes: usize) -> Option<()> {
    let named = string(rest)? == curve.as_bytes();
    let point = string(rest)?;
    (named && point.len() == 2 * bytes + 1 && point[0] == 4).then_some(())
}

/// What a security key was asked for, `ssh:` as a rule.
fn application(rest: &mut &[u8]) -> Option<()> {
    (!string(rest)?.is_empty()).then_some(())
}

fn rsa(rest: &mut &[u8]) -> Option<()> {
    let exponent = positive(string(rest)?)?;
    let modulus = positive(string(rest)?)?;
    let bits = modulus.len() * 8 - usize::try_from(modulus[0].leading_zeros()).ok()?;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let fits = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) && exponent != [1];
    (fits && odd(exponent) && odd(modulus)).then_some(())
}

/// A positive number without its sign; there is one way only to write it.
fn positive(number: &[u8]) -> Option<&[u8]> {
    match number {
        [0, digits @ ..] if digits.first().is_some_and(|first| *first >= 0x80) => Some(digits),
        [1..0x80, ..] => Some(number),
        _ => None,
    }
}

/// Decodes base64 with its padding; there is one way only to write it.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text.bytes().take(text.len() - padding) {
        bits = bits << 6 | u32::from(digit(byte)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}
