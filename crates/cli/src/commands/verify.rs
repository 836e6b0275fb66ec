//! `proofmark verify`: as `proofmark-verify`, with a package folder.

use proofmark_verify::{Failure, Request, verify};

use crate::arguments::VerifyPackageArgs;
use crate::commands::package_files;
use crate::output::Output;

pub(crate) fn run(args: &VerifyPackageArgs, output: Output) -> Result<(), Failure> {
    let (manifest, verifying_key) = package_files(&args.files)?;
    let verified = verify(&Request {
        args: &args.verify,
        manifest: &manifest,
        verifying_key: &verifying_key,
    })?;
    let report = verified.report();
    output.result(&report.json(), &report.text())
}
