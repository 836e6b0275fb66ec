//! The fields of the coordinates, Fq and Fq2, side by side.

use ark_bn254::{Fq, Fq2};
use ark_ff::{AdditiveGroup, Field};
use proofmark_lanes::{Lanes, Packed};

/// Lanes at most, by [`Lanes::WIDTH`].
const WIDEST: usize = 64;

/// A field of point coordinates whose elements can stand side by side. Its operations are those of
/// [`Lanes`], and like them are fast inside of a kernel only.
pub trait Coordinate: Field {
    /// [`Lanes::WIDTH`] elements.
    type Vector<L: Lanes<Field = Fq>>: Copy;

    /// The same element in all lanes.
    fn splat<L: Lanes<Field = Fq>>(lanes: L, value: &Self) -> Self::Vector<L>;
    /// The elements one by one.
    fn to_elements<L: Lanes<Field = Fq>>(lanes: L, vector: Self::Vector<L>) -> Vec<Self>;
    /// The reverse of [`Coordinate::to_elements`].
    fn from_elements<L: Lanes<Field = Fq>>(lanes: L, elements: &[Self]) -> Self::Vector<L>;
    /// `a + b`.
    fn plus<L: Lanes<Field = Fq>>(
        lanes: L,
        a: Self::Vector<L>,
        b: Self::Vector<L>,
    ) -> Self::Vector<L>;
    /// `a − b`.
    fn minus<L: Lanes<Field = Fq>>(
        lanes: L,
        a: Self::Vector<L>,
        b: Self::Vector<L>,
    ) -> Self::Vector<L>;
    /// `a − b − c`.
    fn minus_both<L: Lanes<Field = Fq>>(
        lanes: L,
        a: Self::Vector<L>,
        b: Self::Vector<L>,
        c: Self::Vector<L>,
    ) -> Self::Vector<L>;
    /// `−a`.
    fn negated<L: Lanes<Field = Fq>>(lanes: L, a: Self::Vector<L>) -> Self::Vector<L>;
    /// `2·a`.
    fn twice<L: Lanes<Field = Fq>>(lanes: L, a: Self::Vector<L>) -> Self::Vector<L>;
    /// `a·b`.
    fn times<L: Lanes<Field = Fq>>(
        lanes: L,
        a: Self::Vector<L>,
        b: Self::Vector<L>,
    ) -> Self::Vector<L>;
    /// `a²`.
    fn squared<L: Lanes<Field = Fq>>(lanes: L, a: Self::Vector<L>) -> Self::Vector<L>;
    /// Lane `i` of `a` where bit `i` of the mask is set, of `b` elsewhere.
    fn select<L: Lanes<Field = Fq>>(
        lanes: L,
        mask: u64,
        a: Self::Vector<L>,
        b: Self::Vector<L>,
    ) -> Self::Vector<L>;
}

impl Coordinate for Fq {
    type Vector<L: Lanes<Field = Fq>> = L::Vector;

    #[inline(always)]
    fn splat<L: Lanes<Field = Fq>>(lanes: L, value: &Self) -> L::Vector {
        lanes.splat(&lanes.pack(value))
    }

    #[inline(always)]
    fn to_elements<L: Lanes<Field = Fq>>(lanes: L, vector: L::Vector) -> Vec<Self> {
        let mut packed: [[Packed; 1]; WIDEST] = [[[0; 4]; 1]; WIDEST];
        lanes.store([vector], &mut packed[..L::WIDTH]);
        packed[..L::WIDTH]
            .iter()
            .map(|[element]| lanes.unpack(element))
            .collect()
    }

    #[inline(always)]
    fn from_elements<L: Lanes<Field = Fq>>(lanes: L, elements: &[Self]) -> L::Vector {
        let mut packed: [[Packed; 1]; WIDEST] = [[[0; 4]; 1]; WIDEST];
        for ([packed], element) in packed.iter_mut().zip(elements) {
            *packed = lanes.pack(element);
        }
        let [vector] = lanes.load(&packed[..L::WIDTH]);
        vector
    }

    #[inline(always)]
    fn plus<L: Lanes<Field = Fq>>(lanes: L, a: L::Vector, b: L::Vector) -> L::Vector {
        lanes.add(a, b)
    }

    #[inline(always)]
    fn minus<L: Lanes<Field = Fq>>(lanes: L, a: L::Vector, b: L::Vector) -> L::Vector {
        lanes.sub(a, b)
    }

    #[inline(always)]
    fn minus_both<L: Lanes<Field = Fq>>(
        lanes: L,
        a: L::Vector,
        b: L::Vector,
        c: L::Vector,
    ) -> L::Vector {
        lanes.sub_both(a, b, c)
    }

    #[inline(always)]
    fn negated<L: Lanes<Field = Fq>>(lanes: L, a: L::Vector) -> L::Vector {
        lanes.neg(a)
    }

    #[inline(always)]
    fn twice<L: Lanes<Field = Fq>>(lanes: L, a: L::Vector) -> L::Vector {
        lanes.double(a)
    }

    #[inline(always)]
    fn times<L: Lanes<Field = Fq>>(lanes: L, a: L::Vector, b: L::Vector) -> L::Vector {
        lanes.mul(a, b)
    }

    #[inline(always)]
    fn squared<L: Lanes<Field = Fq>>(lanes: L, a: L::Vector) -> L::Vector {
        lanes.square(a)
    }

    #[inline(always)]
    fn select<L: Lanes<Field = Fq>>(lanes: L, mask: u64, a: L::Vector, b: L::Vector) -> L::Vector {
        lanes.select(mask, a, b)
    }
}

/// `Fq[u]/(u² + 1)`, products by Karatsuba.
impl Coordinate for Fq2 {
    type Vector<L: Lanes<Field = Fq>> = [L::Vector; 2];

    #[inline(always)]
    fn splat<L: Lanes<Field = Fq>>(lanes: L, value: &Self) -> [L::Vector; 2] {
        [Fq::splat(lanes, &value.c0), Fq::splat(lanes, &value.c1)]
    }

    #[inline(always)]
    fn to_elements<L: Lanes<Field = Fq>>(lanes: L, [c0, c1]: [L::Vector; 2]) -> Vec<Self> {
        Fq::to_elements(lanes, c0)
            .into_iter()
            .zip(Fq::to_elements(lanes, c1))
            .map(|(c0, c1)| Self::new(c0, c1))
            .collect()
    }

    #[inline(always)]
    fn from_elements<L: Lanes<Field = Fq>>(lanes: L, elements: &[Self]) -> [L::Vector; 2] {
        let [mut c0, mut c1] = [[Fq::ZERO; WIDEST]; 2];
        for (index, element) in elements.iter().enumerate() {
            c0[index] = element.c0;
            c1[index] = element.c1;
        }
        [
            Fq::from_elements(lanes, &c0[..elements.len()]),
            Fq::from_elements(lanes, &c1[..elements.len()]),
        ]
    }

    #[inline(always)]
    fn plus<L: Lanes<Field = Fq>>(
        lanes: L,
        a: [L::Vector; 2],
        b: [L::Vector; 2],
    ) -> [L::Vector; 2] {
        [lanes.add(a[0], b[0]), lanes.add(a[1], b[1])]
    }

    #[inline(always)]
    fn minus<L: Lanes<Field = Fq>>(
        lanes: L,
        a: [L::Vector; 2],
        b: [L::Vector; 2],
    ) -> [L::Vector; 2] {
        [lanes.sub(a[0], b[0]), lanes.sub(a[1], b[1])]
    }

    #[inline(always)]
    fn minus_both<L: Lanes<Field = Fq>>(
        lanes: L,
        a: [L::Vector; 2],
        b: [L::Vector; 2],
        c: [L::Vector; 2],
    ) -> [L::Vector; 2] {
        [
            lanes.sub_both(a[0], b[0], c[0]),
            lanes.sub_both(a[1], b[1], c[1]),
        ]
    }

    #[inline(always)]
    fn negated<L: Lanes<Field = Fq>>(lanes: L, a: [L::Vector; 2]) -> [L::Vector; 2] {
        [lanes.neg(a[0]), lanes.neg(a[1])]
    }

    #[inline(always)]
    fn twice<L: Lanes<Field = Fq>>(lanes: L, a: [L::Vector; 2]) -> [L::Vector; 2] {
        [lanes.double(a[0]), lanes.double(a[1])]
    }

    #[inline(always)]
    fn times<L: Lanes<Field = Fq>>(
        lanes: L,
        a: [L::Vector; 2],
        b: [L::Vector; 2],
    ) -> [L::Vector; 2] {
        let low = lanes.mul(a[0], b[0]);
        let high = lanes.mul(a[1], b[1]);
        let cross = lanes.mul(lanes.add(a[0], a[1]), lanes.add(b[0], b[1]));
        [lanes.sub(low, high), lanes.sub_both(cross, low, high)]
    }

    #[inline(always)]
    fn squared<L: Lanes<Field = Fq>>(lanes: L, a: [L::Vector; 2]) -> [L::Vector; 2] {
        let difference = lanes.mul(lanes.add(a[0], a[1]), lanes.sub(a[0], a[1]));
        let product = lanes.mul(a[0], a[1]);
        [difference, lanes.double(product)]
    }

    #[inline(always)]
    fn select<L: Lanes<Field = Fq>>(
        lanes: L,
        mask: u64,
        a: [L::Vector; 2],
        b: [L::Vector; 2],
    ) -> [L::Vector; 2] {
        [
            lanes.select(mask, a[0], b[0]),
            lanes.select(mask, a[1], b[1]),
        ]
    }
}

/// The inverses of all elements of vectors, by one inversion; `None` when one of them is zero. Fast
/// inside of a kernel only.
#[inline(always)]
pub fn invert<F: Coordinate, L: Lanes<Field = Fq>, const N: usize>(
    lanes: L,
    vectors: [F::Vector<L>; N],
) -> Option<[F::Vector<L>; N]> {
    // before[i] is the product of the vectors before i.
    let mut before = [vectors[0]; N];
    let mut product = vectors[0];
    for index in 1..N {
        before[index] = product;
        product = F::times(lanes, product, vectors[index]);
    }
    let mut inverses = invert_elements::<F, L>(lanes, product)?;
    let mut result = vectors;
    for index in (1..N).rev() {
        result[index] = F::times(lanes, inverses, before[index]);
        inverses = F::times(lanes, inverses, vectors[index]);
    }
    result[0] = inverses;
    Some(result)
}

/// The inverse of each lane.
#[inline(always)]
fn invert_elements<F: Coordinate, L: Lanes<Field = Fq>>(
    lanes: L,
    vector: F::Vector<L>,
) -> Option<F::Vector<L>> {
    let mut elements = F::to_elements(lanes, vector);
    let mut before = Vec::with_capacity(elements.len());
    let mut product = F::ONE;
    for element in &elements {
        before.push(product);
        product *= element;
    }
    let mut inverse = product.inverse()?;
    for (element, before) in elements.iter_mut().zip(before).rev() {
        let factor = *element;
        *element = inverse * before;
        inverse *= factor;
    }
    Some(F::from_elements(lanes, &elements))
}
