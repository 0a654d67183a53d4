use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use crate::Profile;

/// `nobody`, which every distribution reserves for "owns nothing".
const NOBODY: u32 = 65534;

/// Becomes `nobody` if root; any other user stays who they are.
pub fn drop_root() -> rustix::io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// Leaves the host's network, IPC and host name behind, as a user that is
/// mapped to nobody, and drops the capabilities that come with it.
pub fn own_namespaces(profile: Profile) -> rustix::io::Result<()> {
    let always = UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    let more = match profile {
        Profile::Scan => UnshareFlags::empty(),
        Profile::ModelLoad | Profile::ModelRun => UnshareFlags::NEWNS | UnshareFlags::NEWCGROUP,
    };
    #[expect(deprecated, reason = "the flags that make it unsafe (FILES) are not used")]
    rustix::thread::unshare(always | more)?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Gives the next process of the calling thread its own process numbers.
pub fn hide_processes() -> rustix::io::Result<()> {
    #[expect(deprecated, reason = "the flags that make it unsafe (FILES) are not used")]
    rustix::thread::unshare(UnshareFlags::NEWPID)
}
