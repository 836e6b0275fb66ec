//! Writing a `.ptau` file: beside its place, then moved there whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ark_bn254::Fq;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{BigInteger, PrimeField};
use tempfile::NamedTempFile;

use super::file::{Extent, MAGIC, Ptau, VERSION};
use super::hashing::montgomery;
use super::tables::{CONTRIBUTIONS, HEADER, Table};
use crate::error::CeremonyError;
use crate::group::Group;
use crate::output;
use crate::snarkjs::Point;

/// A file that is being written. Nothing is at its path before [`Writer::finish`].
pub(super) struct Writer {
    temporary: NamedTempFile,
    path: PathBuf,
    power: u32,
    position: u64,
    sections: BTreeMap<u32, Extent>,
}

impl Writer {
    /// Starts a file with so many sections, and writes its header.
    pub(super) fn new(
        path: &Path,
        sections: u32,
        power: u32,
        ceremony_power: u32,
    ) -> Result<Self, CeremonyError> {
        let temporary = output::temporary(path)?;
        let mut writer = Self {
            temporary,
            path: path.to_owned(),
            power,
            position: 0,
            sections: BTreeMap::new(),
        };
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&sections.to_le_bytes());
        writer.append(&head)?;
        let mut header = 32_u32.to_le_bytes().to_vec();
        header.extend_from_slice(&Fq::MODULUS.to_bytes_le());
        header.extend_from_slice(&power.to_le_bytes());
        header.extend_from_slice(&ceremony_power.to_le_bytes());
        writer.section(HEADER, header.len() as u64)?;
        writer.append(&header)?;
        Ok(writer)
    }

    /// Starts a section.
    pub(super) fn section(&mut self, id: u32, length: u64) -> Result<(), CeremonyError> {
        let mut head = id.to_le_bytes().to_vec();
        head.extend_from_slice(&length.to_le_bytes());
        self.append(&head)?;
        let extent = Extent {
            start: self.position,
            length,
        };
        self.sections.insert(id, extent);
        Ok(())
    }

    /// Starts the section of a table, whose points follow.
    pub(super) fn table<C: Group>(&mut self, table: Table<C>) -> Result<(), CeremonyError>
    where
        Affine<C>: Point,
    {
        let length = table.points(self.power) * <Affine<C> as Point>::BYTES as u64;
        self.section(table.id, length)
    }

    /// Appends points to the section that was started last.
    pub(super) fn points<P: Point>(&mut self, points: &[P]) -> Result<(), CeremonyError> {
        // In pieces, so that the bytes do not lie beside all of the points.
        for points in points.chunks(1 << 16) {
            self.append(&montgomery(points))?;
        }
        Ok(())
    }

    /// Writes the contributions.
    pub(super) fn contributions(&mut self, bytes: &[u8]) -> Result<(), CeremonyError> {
        self.section(CONTRIBUTIONS, bytes.len() as u64)?;
        self.append(bytes)
    }

    /// Copies a section of another file.
    pub(super) fn copy(
        &mut self,
        from: &Ptau,
        id: u32,
        name: &'static str,
    ) -> Result<(), CeremonyError> {
        let extent = from.section(id, name)?;
        self.section(id, extent.length)?;
        from.blocks(extent, &mut |block, _| self.append(block))
    }

    /// What was written so far, to be read again.
    pub(super) fn view(&self) -> Result<Ptau, CeremonyError> {
        let file = File::open(self.temporary.path())
            .map_err(|error| CeremonyError::io("cannot read", self.temporary.path(), &error))?;
        let sections = self.sections.clone();
        Ok(Ptau::unfinished(file, &self.path, self.power, sections))
    }

    /// Moves the file to its place.
    pub(super) fn finish(self) -> Result<(), CeremonyError> {
        output::persist(self.temporary, &self.path)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CeremonyError> {
        self.temporary
            .write_all(bytes)
            .map_err(|error| CeremonyError::io("cannot write", &self.path, &error))?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
