//! The keys of subjects. Each subject has one; what is personal of it is sealed with it, and is lost with it.
//!
//! A key is 256 random bits, kept in `privacy_subject_keys` wrapped by a master key that is never in the database: it is in a
//! file, in Vault or in a KMS. Both seal with AES-256-GCM-SIV (RFC 8452) and no nonce of their own, so that the same text is sealed alike and can be compared;
//! that is what the mode is for.
mod cipher;
mod file;
mod keys;
mod kms;
mod marks;
mod master;
mod places;
mod table;
mod vault;

pub use file::MasterFile;
pub use keys::{FORGOTTEN_AFTER, KeysStatus, SubjectKeys};
pub use kms::{AwsKms, KmsConfig};
pub use marks::{MARK_LEN, Mark};
pub use master::{MasterError, MasterKey, PlaceError, Version};
pub use places::{Holder, MasterPlaces};
pub use vault::{VaultConfig, VaultTransit};
