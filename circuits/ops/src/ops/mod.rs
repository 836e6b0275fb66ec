//! The one list of operators that may be proven. Alphabetical; a test keeps it so.

use crate::operator::OpSpec;

macro_rules! operators {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*
        /// Every operator that may be proven, in the order of their files.
        pub static OPERATORS: &[&OpSpec] = &[$(&$module::SPEC),*];
        #[cfg(test)]
        const MODULES: &[&str] = &[$(stringify!($module)),*];
    };
}

operators! {
    add,
    arg_max,
    cast,
    clip,
    concat,
    conv_integer,
    depth_to_space,
    div,
    expand,
    flatten,
    gather,
    identity,
    mat_mul_integer,
    max,
    max_pool,
    min,
    mul,
    pad,
    q_gemm,
    q_linear_conv,
    q_linear_mat_mul,
    reduce_sum,
    relu,
    reshape,
    resize,
    slice,
    space_to_depth,
    squeeze,
    sub,
    transpose,
    unsqueeze,
}

mod accumulate;
mod broadcast;
mod elementwise;
mod extremum;
mod mat_mul;
mod relabel;
mod table_index;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_alphabetical_and_names_are_unique() {
        assert!(MODULES.windows(2).all(|pair| pair[0] < pair[1]));
        let mut names: Vec<_> = OPERATORS.iter().map(|s| (s.domain, s.op_type)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OPERATORS.len());
    }
}
