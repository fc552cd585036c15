//! Makes /workspace/outputs writable for the group of whoever calls it, and does nothing else.
//!
//! The one file of the image that carries capabilities (CAP_CHOWN and CAP_FOWNER); docs/decisions/container-user.md says
//! why there is one. It reads no argument, no variable and no input, and changes no other folder: the path is fixed,
//! /workspace belongs to root, and a link in the folder's place is not followed.

const std = @import("std");
const linux = std.os.linux;

const AT_EMPTY_PATH = 0x1000;

pub fn main() u8 {
    // Without read permission, which a folder of mode 0700 would not grant; held, so that nothing can take its place.
    const flags: linux.O = .{ .PATH = true, .DIRECTORY = true, .NOFOLLOW = true, .CLOEXEC = true };
    const opened = linux.open("/workspace/outputs", flags, 0);
    if (linux.errno(opened) != .SUCCESS) return 1;
    const held: i32 = @intCast(opened);

    var found: linux.Statx = undefined;
    if (linux.errno(linux.statx(held, "", AT_EMPTY_PATH, .{ .MODE = true }, &found)) != .SUCCESS) return 1;

    const same_owner = ~@as(linux.uid_t, 0);
    const given = linux.fchownat(held, "", same_owner, linux.getgid(), AT_EMPTY_PATH);
    if (linux.errno(given) != .SUCCESS) return 1;

    // fchmod does not take a descriptor of this kind; its name in /proc is the folder itself.
    var text: [24]u8 = undefined;
    const name = std.fmt.bufPrintSentinel(&text, "/proc/self/fd/{d}", .{held}, 0) catch return 1;
    const allowed = linux.chmod(name, (found.mode & 0o7777) | 0o070);
    return if (linux.errno(allowed) == .SUCCESS) 0 else 1;
}
