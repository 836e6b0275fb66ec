//! The account that sends fulfilments: one whose key the node has, or one whose key is here.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{BufMut as _, Encodable as _, Header};
use k256::ecdsa::SigningKey;
use zeroize::Zeroizing;

use crate::error::RelayError;

/// Type of a transaction after EIP-1559.
const EIP_1559: u8 = 2;
/// Longest key file: `0x`, 64 digits, some white space.
const MAX_KEY_BYTES: u64 = 128;

/// Who sends fulfilments and earns the fees.
#[derive(Clone)]
pub enum Account {
    /// The node, or a signer before it, has the key.
    AtNode(Address),
    /// The key is here: the relay signs, and any node serves.
    Own(Key),
}

impl Account {
    /// Its address.
    pub fn address(&self) -> Address {
        match self {
            Self::AtNode(address) => *address,
            Self::Own(key) => key.address,
        }
    }
}

impl core::fmt::Debug for Account {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Never the key.
        write!(f, "{}", self.address())
    }
}

/// A secp256k1 key of an account. Wiped on drop.
#[derive(Clone)]
pub struct Key {
    key: SigningKey,
    address: Address,
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Key({})", self.address)
    }
}

impl Key {
    /// Reads a file with the key in 64 hex digits, with `0x` or without, which nobody but its owner
    /// may read.
    ///
    /// # Errors
    /// [`RelayError::Key`] for a file that cannot be read, that others may read, or with something
    /// else in it.
    pub fn read(path: &Path) -> Result<Self, RelayError> {
        let refuse = |reason: String| RelayError::Key {
            path: path.to_owned(),
            reason,
        };
        let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
        private(&file).map_err(refuse)?;
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_KEY_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| refuse(error.to_string()))?;
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let mut bytes = Zeroizing::new([0_u8; 32]);
        alloy_primitives::hex::decode_to_slice(digits, bytes.as_mut())
            .map_err(|_| refuse("it must hold 64 hex digits and nothing else".to_owned()))?;
        Self::of_bytes(&bytes).ok_or_else(|| refuse("the number in it is no key".to_owned()))
    }

    /// The key of these bytes; `None` for zero and for what is not below the group's order.
    fn of_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let key = SigningKey::from_slice(bytes).ok()?;
        let point = key.verifying_key().to_encoded_point(false);
        // Without the byte that says that it is uncompressed.
        let hash = keccak256(point.as_bytes().get(1..)?);
        Some(Self {
            key,
            address: Address::from_word(hash),
        })
    }

    /// The account's address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// A signed transaction with its hash; `None` where the key cannot sign, which has no known cause.
    pub(crate) fn sign(&self, transaction: &Transaction<'_>) -> Option<(Vec<u8>, B256)> {
        let hash = keccak256(transaction.encode(None));
        // Deterministic (RFC 6979), with the lower s, as EIP-2 has it.
        let (signature, recovery) = self.key.sign_prehash_recoverable(hash.as_slice()).ok()?;
        let (r, s) = signature.split_bytes();
        let encoded = transaction.encode(Some((recovery.is_y_odd(), &r, &s)));
        let hash = keccak256(&encoded);
        Some((encoded, hash))
    }
}

#[cfg(unix)]
fn private(file: &File) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file
        .metadata()
        .map_err(|error| error.to_string())?
        .permissions()
        .mode();
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err("others may read it; chmod 600 it".to_owned()),
    }
}

#[cfg(not(unix))]
fn private(file: &File) -> Result<(), String> {
    file.metadata().map(drop).map_err(|error| error.to_string())
}

/// A transaction after EIP-1559, without value and access list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transaction<'t> {
    pub(crate) chain_id: u64,
    pub(crate) nonce: u64,
    /// In wei a gas: what the block's maker has, and the most that is paid in all.
    pub(crate) fees: Fees,
    pub(crate) gas: u64,
    pub(crate) to: Address,
    pub(crate) data: &'t [u8],
}

/// Wei a gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fees {
    pub(crate) tip: u128,
    pub(crate) most: u128,
}

impl Fees {
    /// What a gas costs as things stand: `most` is twice the base fee and the tip.
    pub(crate) fn price(self) -> u128 {
        (self.most.saturating_sub(self.tip) >> 1).saturating_add(self.tip)
    }
}

impl Transaction<'_> {
    /// EIP-2718's form: type, then RLP; without a signature what is signed.
    fn encode(&self, signature: Option<(bool, &[u8], &[u8])>) -> Vec<u8> {
        let mut list = Vec::new();
        self.chain_id.encode(&mut list);
        self.nonce.encode(&mut list);
        self.fees.tip.encode(&mut list);
        self.fees.most.encode(&mut list);
        self.gas.encode(&mut list);
        self.to.as_slice().encode(&mut list);
        0_u8.encode(&mut list);
        self.data.encode(&mut list);
        // No access list.
        Header {
            list: true,
            payload_length: 0,
        }
        .encode(&mut list);
        if let Some((odd, r, s)) = signature {
            u8::from(odd).encode(&mut list);
            number(r).encode(&mut list);
            number(s).encode(&mut list);
        }
        let mut encoded = vec![EIP_1559];
        Header {
            list: true,
            payload_length: list.len(),
        }
        .encode(&mut encoded);
        encoded.put_slice(&list);
        encoded
    }
}

/// A number's bytes without leading zeros, as RLP has numbers.
fn number(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;
    use std::fs;

    /// The second of the accounts that every local chain of anvil or hardhat begins with.
    const KNOWN: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
    const ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

    fn file(content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, content).unwrap();
        mode(&path, 0o600);
        (folder, path)
    }

    fn mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_is_read_from_its_owners_file_alone() {
        for content in [KNOWN.to_owned(), format!("0x{KNOWN}\n")] {
            let (_folder, path) = file(&content);
            let key = Key::read(&path).unwrap();
            assert_eq!(key.address(), ADDRESS.parse::<Address>().unwrap());
            assert!(!format!("{key:?} {:?}", Account::Own(key.clone())).contains(&KNOWN[..8]));
            for open in [0o640, 0o604, 0o644] {
                mode(&path, open);
                let error = Key::read(&path).unwrap_err();
                assert_eq!(error.code(), "relay-key");
                assert!(error.to_string().contains("chmod 600"));
            }
        }
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        for content in [
            String::new(),
            KNOWN[1..].to_owned(),
            format!("{KNOWN}00"),
            "0".repeat(64),
            order.to_owned(),
            "g".repeat(64),
        ] {
            let (_folder, path) = file(&content);
            let error = Key::read(&path).unwrap_err();
            assert_eq!(error.code(), "relay-key", "{content}");
            assert!(!error.to_string().contains("59c6"), "{error}");
        }
    }

    #[test]
    fn a_transaction_is_encoded_and_signed_as_specified() {
        use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
        let mut bytes = [0; 32];
        hex::decode_to_slice(KNOWN, &mut bytes).unwrap();
        let key = Key::of_bytes(&bytes).unwrap();
        let transaction = Transaction {
            chain_id: 31_337,
            nonce: 0,
            fees: Fees {
                tip: 1,
                most: 0x0123,
            },
            gas: 21_000,
            to: Address::repeat_byte(0x11),
            data: &[0xab; 60],
        };
        // By hand, from EIP-1559 and the definition of RLP: 0x80 is the number 0 and the empty string,
        // b8 3c a string of 60 bytes, c0 the empty list, f8 a list with its length in one byte.
        let unsigned = format!(
            "02f860827a69800182012382520894{}80b83c{}c0",
            "11".repeat(20),
            "ab".repeat(60)
        );
        assert_eq!(hex::encode(transaction.encode(None)), unsigned);
        // Whose signature it is, many times over: a leading zero in r or s comes one time in 128.
        for nonce in 0..300 {
            let transaction = Transaction {
                nonce,
                ..transaction
            };
            let (encoded, hash) = key.sign(&transaction).unwrap();
            assert_eq!(hash, keccak256(&encoded));
            let mut rest = &encoded[1..];
            let list = Header::decode(&mut rest).unwrap();
            assert!(list.list && list.payload_length == rest.len());
            let body = transaction.encode(None);
            let mut own = &body[1..];
            let unsigned = Header::decode(&mut own).unwrap().payload_length;
            assert_eq!(rest[..unsigned], *own);
            let mut tail = &rest[unsigned..];
            let odd = <u8 as alloy_rlp::Decodable>::decode(&mut tail).unwrap();
            let mut words = [[0_u8; 32]; 2];
            for word in &mut words {
                let part = Header::decode_bytes(&mut tail, false).unwrap();
                assert!(part[0] != 0, "no leading zeros");
                word[32 - part.len()..].copy_from_slice(part);
            }
            assert!(tail.is_empty());
            let signature = Signature::from_scalars(words[0], words[1]).unwrap();
            assert!(signature.normalize_s().is_none(), "EIP-2");
            let recovered = VerifyingKey::recover_from_prehash(
                keccak256(&body).as_slice(),
                &signature,
                RecoveryId::new(odd == 1, false),
            )
            .unwrap();
            assert_eq!(&recovered, key.key.verifying_key());
        }
    }
}
