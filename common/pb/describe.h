// SPDX-License-Identifier: GPL-3.0-or-later
//
// Which protobuf-c this is; apart from pb.h, which only wire files may include.
#pragma once

// "protobuf-c 1.4.1", for --version. Static; one thread.
const char *pb_describe(void);
