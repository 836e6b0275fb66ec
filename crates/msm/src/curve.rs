//! The two groups, by the memory form of their points.

use ark_bn254::{Fq, Fq2, Fr, g1, g2};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use proofmark_lanes::{Engine, Lanes, Packed, words};
use zeroize::Zeroize;

use crate::coordinate::Coordinate;

mod sealed {
    pub trait Sealed {}
    impl Sealed for ark_bn254::g1::Config {}
    impl Sealed for ark_bn254::g2::Config {}
}

/// G1 or G2 of BN254. Neither has a point of order two, and `(0, 0)` is on neither curve.
pub trait Curve: SWCurveConfig<ScalarField = Fr, BaseField: Coordinate> + sealed::Sealed {
    /// `g1` or `g2`, as table files name it.
    const NAME: &'static str;

    /// The words of an affine point, x then y; all zero for the identity.
    type Point: Copy + Send + Sync + Zeroize + 'static;

    /// The identity.
    const IDENTITY: Self::Point;

    /// The words of a point.
    fn coordinates(point: &Self::Point) -> &[Packed];
    /// Bytes as points where they lie, see [`proofmark_lanes::words`].
    fn points(bytes: &[u8]) -> Option<&[Self::Point]>;
    /// A point in an engine's form.
    fn pack(engine: Engine<Fq>, point: &Affine<Self>) -> Self::Point;
    /// The inverse of [`Curve::pack`].
    fn unpack(engine: Engine<Fq>, point: &Self::Point) -> Affine<Self>;
    /// Whether all words are zero.
    fn is_identity(point: &Self::Point) -> bool;
    /// Whether two points of the same engine have the same x coordinate.
    fn same_x(a: &Self::Point, b: &Self::Point) -> bool;
    /// [`Lanes::gather`] of the coordinates x and y.
    fn gather<L: Lanes<Field = Fq>>(
        lanes: L,
        points: &[Self::Point],
        slots: &[u32],
    ) -> [Vector<Self, L>; 2];
    /// [`Lanes::scatter`] of the coordinates x and y.
    fn scatter<L: Lanes<Field = Fq>>(
        lanes: L,
        coordinates: [Vector<Self, L>; 2],
        points: &mut [Self::Point],
        slots: &[u32],
    );
}

/// Coordinates of [`Lanes::WIDTH`] points.
pub(crate) type Vector<C, L> = <<C as ark_ec::CurveConfig>::BaseField as Coordinate>::Vector<L>;

impl Curve for g1::Config {
    const NAME: &'static str = "g1";
    type Point = [Packed; 2];
    const IDENTITY: Self::Point = [[0; 4]; 2];

    fn coordinates(point: &Self::Point) -> &[Packed] {
        point
    }

    fn points(bytes: &[u8]) -> Option<&[Self::Point]> {
        let (points, rest) = words::<4>(bytes)?.as_chunks();
        rest.is_empty().then_some(points)
    }

    fn pack(engine: Engine<Fq>, point: &Affine<Self>) -> Self::Point {
        if point.is_zero() {
            return Self::IDENTITY;
        }
        [engine.pack(&point.x), engine.pack(&point.y)]
    }

    fn unpack(engine: Engine<Fq>, point: &Self::Point) -> Affine<Self> {
        if *point == Self::IDENTITY {
            return Affine::identity();
        }
        Affine::new_unchecked(engine.unpack(&point[0]), engine.unpack(&point[1]))
    }

    #[inline]
    fn is_identity(point: &Self::Point) -> bool {
        *point == Self::IDENTITY
    }

    fn same_x(a: &Self::Point, b: &Self::Point) -> bool {
        a[0] == b[0]
    }

    #[inline(always)]
    fn gather<L: Lanes<Field = Fq>>(
        lanes: L,
        points: &[Self::Point],
        slots: &[u32],
    ) -> [L::Vector; 2] {
        lanes.gather(points, slots)
    }

    #[inline(always)]
    fn scatter<L: Lanes<Field = Fq>>(
        lanes: L,
        coordinates: [L::Vector; 2],
        points: &mut [Self::Point],
        slots: &[u32],
    ) {
        lanes.scatter(coordinates, points, slots);
    }
}

impl Curve for g2::Config {
    const NAME: &'static str = "g2";
    type Point = [Packed; 4];
    const IDENTITY: Self::Point = [[0; 4]; 4];

    fn coordinates(point: &Self::Point) -> &[Packed] {
        point
    }

    fn points(bytes: &[u8]) -> Option<&[Self::Point]> {
        let (points, rest) = words::<4>(bytes)?.as_chunks();
        rest.is_empty().then_some(points)
    }

    fn pack(engine: Engine<Fq>, point: &Affine<Self>) -> Self::Point {
        if point.is_zero() {
            return Self::IDENTITY;
        }
        let [x, y] = [&point.x, &point.y].map(|c| [engine.pack(&c.c0), engine.pack(&c.c1)]);
        [x[0], x[1], y[0], y[1]]
    }

    fn unpack(engine: Engine<Fq>, point: &Self::Point) -> Affine<Self> {
        if *point == Self::IDENTITY {
            return Affine::identity();
        }
        let [x0, x1, y0, y1] = point.map(|word| engine.unpack(&word));
        Affine::new_unchecked(Fq2::new(x0, x1), Fq2::new(y0, y1))
    }

    #[inline]
    fn is_identity(point: &Self::Point) -> bool {
        *point == Self::IDENTITY
    }

    fn same_x(a: &Self::Point, b: &Self::Point) -> bool {
        a[..2] == b[..2]
    }

    #[inline(always)]
    fn gather<L: Lanes<Field = Fq>>(
        lanes: L,
        points: &[Self::Point],
        slots: &[u32],
    ) -> [[L::Vector; 2]; 2] {
        let [x0, x1, y0, y1] = lanes.gather(points, slots);
        [[x0, x1], [y0, y1]]
    }

    #[inline(always)]
    fn scatter<L: Lanes<Field = Fq>>(
        lanes: L,
        [[x0, x1], [y0, y1]]: [[L::Vector; 2]; 2],
        points: &mut [Self::Point],
        slots: &[u32],
    ) {
        lanes.scatter([x0, x1, y0, y1], points, slots);
    }
}
