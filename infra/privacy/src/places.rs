//! Every place that may have a master key. One of them wraps; the others open what they have wrapped before, until a rotation has moved it.
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::file::MasterFile;
use crate::kms::{AwsKms, KmsConfig};
use crate::master::{MasterError, MasterKey};
use crate::vault::{VaultConfig, VaultTransit};

/// Who holds a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A file of this machine.
    File,
    /// The transit engine of Vault.
    Vault,
    /// A key management service.
    Kms,
}

impl FromStr for Holder {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "file" => Ok(Self::File),
            "vault" => Ok(Self::Vault),
            "kms" => Ok(Self::Kms),
            _ => Err(()),
        }
    }
}

/// Where master keys are.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct MasterPlaces {
    /// Where one is, or would be.
    pub file: PathBuf,
    pub vault: Option<VaultConfig>,
    pub kms: Option<KmsConfig>,
    /// Who wraps; `None`: the service that there is, and without one the file.
    pub wraps: Option<Holder>,
}

impl MasterPlaces {
    /// A file and nothing else.
    #[must_use]
    pub fn file(file: PathBuf) -> Self {
        Self { file, vault: None, kms: None, wraps: None }
    }

    /// Whether a holder can be the one that wraps.
    #[must_use]
    pub fn has(&self, holder: Holder) -> bool {
        match holder {
            Holder::File => true,
            Holder::Vault => self.vault.is_some(),
            Holder::Kms => self.kms.is_some(),
        }
    }

    /// Every place, the one that wraps first. A file that opens is one that is there.
    ///
    /// # Errors
    /// [`MasterError::Unusable`]: one of them cannot be used as it is configured.
    pub fn open(&self) -> Result<Vec<Arc<dyn MasterKey>>, MasterError> {
        let mut places: Vec<(Holder, Arc<dyn MasterKey>)> = vec![];
        if let Some(kms) = &self.kms {
            places.push((Holder::Kms, Arc::new(AwsKms::new(kms)?)));
        }
        if let Some(vault) = &self.vault {
            places.push((Holder::Vault, Arc::new(VaultTransit::new(vault)?)));
        }
        if places.is_empty() || self.wraps == Some(Holder::File) || self.file.exists() {
            places.push((Holder::File, Arc::new(MasterFile::at(self.file.clone()))));
        }
        places.sort_by_key(|(holder, _)| Some(*holder) != self.wraps);
        Ok(places.into_iter().map(|(_, place)| place).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Holder, KmsConfig, MasterPlaces, VaultConfig};

    fn places(places: &MasterPlaces) -> Vec<String> {
        places.open().unwrap().iter().map(|place| place.place()).collect()
    }

    #[test]
    fn whoever_is_said_to_wrap_comes_first_and_the_others_open() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("privacy.key");
        let at = file.display().to_string();
        let mut all = MasterPlaces::file(file.clone());
        assert_eq!(places(&all), std::slice::from_ref(&at), "alone it is made when it is needed");
        let (vault, kms) = ("http://127.0.0.1:1/transit/cairn", "http://127.0.0.1:2/alias/cairn");
        let token = "hvs.x".to_owned();
        all.vault = Some(VaultConfig { url: vault.to_owned(), token, ca: None });
        let environment = vec![("AWS_REGION".to_owned(), "eu-west-3".to_owned())];
        all.kms = Some(KmsConfig { url: kms.to_owned(), environment });
        assert_eq!(places(&all), [kms, vault], "there is no file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(places(&all), [kms, vault, &at]);
        all.wraps = Some(Holder::Vault);
        assert_eq!(places(&all), [vault, kms, &at]);
        all.wraps = Some(Holder::File);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(places(&all), [&at, kms, vault], "it is about to be made");
    }
}
