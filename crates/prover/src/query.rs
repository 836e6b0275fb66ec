//! The points of a key's queries, prepared for many multiplications.

use ark_bn254::{Fr, g1, g2};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ff::{BigInt, PrimeField};
use proofmark_msm::{Curve, FixedBases, MsmError, TableBudget};
use proofmark_types::digest::DigestStream;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::key::ProvingKey;
use crate::options::{ProverOptions, TableFiles};
use crate::shape::Shape;

/// The scalars of an assignment as integers; wiped on drop.
pub(crate) type Scalars = Zeroizing<Vec<BigInt<4>>>;

/// Field elements as integers.
pub(crate) fn integers(values: &[Fr]) -> Scalars {
    Zeroizing::new(values.par_iter().map(|z| z.into_bigint()).collect())
}

/// The wires that a query has points for; the point of any other wire is the identity.
struct Wires(Vec<u32>);

impl Wires {
    /// Of `count` consecutive wires, those that `present` holds for.
    fn new(count: usize, present: impl Fn(usize) -> bool) -> Self {
        let wires = (0..).zip(0..count).filter(|(_, place)| present(*place));
        Self(wires.map(|(wire, _)| wire).collect())
    }

    /// Their elements among those of the same consecutive wires.
    fn gather<T: Copy + Send + Sync>(&self, all: &[T]) -> Vec<T> {
        let wires = self.0.par_iter();
        wires.map(|&wire| all[wire as usize]).collect()
    }

    fn scalars(&self, all: &[BigInt<4>]) -> Scalars {
        Zeroizing::new(self.gather(all))
    }

    /// How many of them are among the consecutive wires from `first` on.
    fn since(&self, first: usize) -> usize {
        let before = self.0.partition_point(|wire| (*wire as usize) < first);
        self.0.len() - before
    }
}

/// One query over consecutive wires.
pub(crate) struct Query<C: Curve> {
    wires: Wires,
    bases: FixedBases<C>,
}

impl<C: Curve> Query<C> {
    /// `Σ z_i · P_i`, given the scalars of the query's consecutive wires.
    pub(crate) fn times(&self, scalars: &[BigInt<4>]) -> Result<Projective<C>, MsmError> {
        self.bases.msm(&self.wires.scalars(scalars))
    }
}

/// B in both groups, over the same wires.
pub(crate) struct QueryB {
    wires: Wires,
    g1: FixedBases<g1::Config>,
    g2: FixedBases<g2::Config>,
}

impl QueryB {
    /// `Σ z_i · P_i` in both groups.
    pub(crate) fn times(
        &self,
        scalars: &[BigInt<4>],
    ) -> Result<(Projective<g1::Config>, Projective<g2::Config>), MsmError> {
        let scalars = self.wires.scalars(scalars);
        let (in_g1, in_g2) = rayon::join(|| self.g1.msm(&scalars), || self.g2.msm(&scalars));
        Ok((in_g1?, in_g2?))
    }
}

/// The queries of a key; all that proving multiplies.
pub(crate) struct Queries {
    /// Over all wires.
    pub(crate) a: Query<g1::Config>,
    /// Over all wires.
    pub(crate) b: QueryB,
    /// Over the committed wires.
    pub(crate) d: Query<g1::Config>,
    /// Over the private wires that are not committed.
    pub(crate) l: Query<g1::Config>,
    /// Over the domain.
    pub(crate) h: FixedBases<g1::Config>,
}

/// Makes bases, sharing out the memory for multiples by expected work.
struct Builder<'o> {
    /// What is left of the memory.
    bytes: u64,
    /// What is left of the work.
    weight: usize,
    files: Option<&'o TableFiles>,
}

impl Builder<'_> {
    /// The part of the memory that is left for some of the work that is left.
    fn budget(&self, weight: usize) -> TableBudget {
        let part = u128::from(self.bytes) * weight as u128;
        let part = part.checked_div(self.weight as u128).unwrap_or_default();
        TableBudget(u64::try_from(part).unwrap_or(u64::MAX))
    }

    /// The bases of a query: `dense` of them are expected to get full-length scalars.
    fn build<C: Curve>(
        &mut self,
        name: &str,
        points: &[Affine<C>],
        dense: usize,
        weight: usize,
    ) -> Result<FixedBases<C>, MsmError> {
        let budget = self.budget(weight);
        let bases = match self.files {
            // Bases without multiples are as quickly made as read.
            Some(files) if budget > TableBudget::NONE => {
                files.bases(name, points, dense, budget)?
            }
            _ => FixedBases::new(points, dense, budget)?,
        };
        self.weight = self.weight.saturating_sub(weight);
        if bases.shape().levels() > 1 {
            self.bytes = self.bytes.saturating_sub(bases.bytes() as u64);
        }
        Ok(bases)
    }
}

impl TableFiles {
    /// Maps the file of a query, which is made when it is missing or another one.
    fn bases<C: Curve>(
        &self,
        name: &str,
        points: &[Affine<C>],
        dense: usize,
        budget: TableBudget,
    ) -> Result<FixedBases<C>, MsmError> {
        let mut stream = DigestStream::new();
        stream.update(b"proofmark/query-tables/v1\0");
        stream.update(self.key.as_bytes());
        for number in [points.len() as u64, dense as u64, budget.0] {
            stream.update(&number.to_le_bytes());
        }
        stream.update(name.as_bytes());
        let id = *stream.finish().as_bytes();
        let path = self.folder.join(format!("{name}.tables"));
        let open = || FixedBases::open(&path, &id).ok();
        if let Some(bases) = open().filter(|bases| bases.len() == points.len()) {
            return Ok(bases);
        }
        let bases = FixedBases::new(points, dense, budget)?;
        if bases.shape().levels() > 1 {
            bases.write(&path, &id)?;
        }
        // Mapped, the memory is shared with other processes.
        Ok(open().unwrap_or(bases))
    }
}

impl Queries {
    /// Prepares a key's points. Multiples of them are kept where full-length scalars are expected: for all of H, and in A, B and L for the wires behind the challenge,
    /// which carry inverses. The other wires carry small integers for the most part.
    pub(crate) fn new(
        key: &ProvingKey,
        shape: &Shape,
        options: &ProverOptions,
    ) -> Result<Self, MsmError> {
        let groth16 = &key.groth16;
        let (a, l, h) = (&groth16.a_query, &groth16.l_query, &groth16.h_query);
        let (b_g1, b_g2) = (&groth16.b_g1_query, &groth16.b_g2_query);
        let d = key.committed.as_ref().map_or(&[][..], |c| &c.query);
        let of_a = Wires::new(a.len(), |wire| !a[wire].is_zero());
        let of_b = Wires::new(b_g1.len(), |wire| {
            !b_g1[wire].is_zero() || !b_g2[wire].is_zero()
        });
        let of_d = Wires::new(d.len(), |wire| !d[wire].is_zero());
        let of_l = Wires::new(l.len(), |wire| !l[wire].is_zero());

        let first_dense = shape.challenge.unwrap_or(shape.num_wires);
        let (dense_a, dense_b) = (of_a.since(first_dense), of_b.since(first_dense));
        let dense_l = match shape.challenge {
            Some(_) => of_l.since(0),
            None => 0,
        };
        let mut builder = Builder {
            bytes: options.table_bytes,
            files: options.table_files.as_ref(),
            // An addition in G2 costs three in G1, a point takes twice the memory.
            weight: h.len() + dense_a + dense_l + dense_b + 2 * dense_b,
        };
        let h = builder.build("h", h, h.len(), h.len())?;
        Ok(Self {
            a: Query {
                bases: builder.build("a", &of_a.gather(a), dense_a, dense_a)?,
                wires: of_a,
            },
            l: Query {
                bases: builder.build("l", &of_l.gather(l), dense_l, dense_l)?,
                wires: of_l,
            },
            d: Query {
                bases: builder.build("d", &of_d.gather(d), 0, 0)?,
                wires: of_d,
            },
            b: QueryB {
                g1: builder.build("b-g1", &of_b.gather(b_g1), dense_b, dense_b)?,
                g2: builder.build("b-g2", &of_b.gather(b_g2), dense_b, 2 * dense_b)?,
                wires: of_b,
            },
            h,
        })
    }

    /// Memory of the points and their multiples.
    pub(crate) fn bytes(&self) -> usize {
        self.a.bases.bytes()
            + self.b.g1.bytes()
            + self.b.g2.bytes()
            + self.d.bases.bytes()
            + self.l.bases.bytes()
            + self.h.bytes()
    }
}
