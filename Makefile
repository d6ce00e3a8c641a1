# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Everything is built from directory lists: a .c file put into a directory below is compiled into that directory's
# library or program, tests/unit/test-NAME.c is a unit test, tests/session/test-NAME* a session test, tests/fuzz/fuzz-NAME.c
# a fuzz target with its corpus in tests/fuzz/corpus/NAME/. Each program's main.c is linked against its directory's library,
# so tests can link what they test.
#
# Libraries: protocol (alone) <- chardev <- guest (spice-pvmouse), host (spicevmc), agent-system, manage (spice-agent-manage)
# <- helper (spice-agent-helper), agent-session. Programs never link each other.

PREFIX  ?= /usr
SYSCONFDIR ?= /etc
DESTDIR ?=
CC      ?= cc
CFLAGS  ?= -O2 -g
BUILD   ?= build
VERSION := 0.1.0

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wpointer-arith -Wvla \
	-Wwrite-strings -Wformat=2 -Werror
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
pc = $(shell pkg-config $(1) $(2))

PC_protocol      := spice-protocol
PC_chardev       := spice-protocol gio-unix-2.0 libseccomp libcap-ng
PC_guest         := $(PC_chardev)
PC_host          := $(PC_chardev) spice-server jansson libcrypto libusbredirparser-0.5
PC_agent-system  := $(PC_chardev) libdrm
PC_manage        := $(PC_chardev) jansson libudev
PC_helper        := $(PC_manage)
PC_agent-session := $(PC_chardev) x11 xfixes xrandr wayland-client libudev jansson
PC_convert       := $(PC_chardev) gdk-pixbuf-2.0
PC_ctl           := spice-protocol gio-unix-2.0 x11

INC_protocol      := -iquote protocol
INC_chardev       := -iquote protocol -iquote chardev
INC_guest         := $(INC_chardev) -iquote chardev/guest
INC_host          := $(INC_chardev) -iquote chardev/host
INC_agent-system  := $(INC_chardev) -iquote agent-system
INC_manage        := $(INC_chardev) -iquote agent-system/manage
INC_helper        := $(INC_manage) -iquote agent-system/helper
INC_agent-session := $(INC_chardev) -iquote agent-session -iquote $(BUILD)/wayland
INC_convert       := $(INC_chardev)
INC_ctl          := -iquote protocol -iquote agent-session/ctl

DIR_guest := chardev/guest
DIR_host  := chardev/host
DIR_manage := agent-system/manage
DIR_helper := agent-system/helper
DIR_ctl   := agent-session/ctl
DIR_convert := agent-session/convert
path = $(or $(DIR_$(1)),$(1))

BASE = -std=gnu11 -MMD -MP $(WARN) $(HARDEN) -DSPICE_PV_VERSION='"$(VERSION)"' -DLIBEXECDIR='"$(PREFIX)/libexec/spice-pv"'

LIBS := protocol chardev guest host agent-system manage helper agent-session convert ctl
PROGRAMS := $(BUILD)/spice-pvmouse $(BUILD)/spicevmc $(BUILD)/spice-agent-system $(BUILD)/spice-agent-manage $(BUILD)/spice-agent-session \
	$(BUILD)/spice-agentctl $(BUILD)/spice-agent-convert $(BUILD)/spice-agent-helper

# One short line per command; V=1 shows the commands.
Q = $(if $(V),,@echo '  $(1) $(2)';)

all: $(PROGRAMS)

# Code and headers from descriptions of Wayland protocols: ours, and of others those that the oldest suite has.
WAYLAND_XML := $(wildcard agent-session/wayland/*.xml) \
	$(shell pkg-config --variable=pkgdatadir wayland-protocols)/unstable/xdg-output/xdg-output-unstable-v1.xml
WAYLAND_NAMES := $(basename $(notdir $(WAYLAND_XML)))
WAYLAND_H := $(WAYLAND_NAMES:%=$(BUILD)/wayland/%.h)
WAYLAND_OBJ := $(WAYLAND_NAMES:%=$(BUILD)/wayland/%.o)
define wayland
$(BUILD)/wayland/$(basename $(notdir $(1))).h: $(1)
	@mkdir -p $$(@D)
	$$(call Q,XML,$$@)wayland-scanner client-header $$< $$@
$(BUILD)/wayland/$(basename $(notdir $(1))).c: $(1)
	@mkdir -p $$(@D)
	$$(call Q,XML,$$@)wayland-scanner private-code $$< $$@
endef
$(foreach x,$(WAYLAND_XML),$(eval $(call wayland,$(x))))
$(WAYLAND_OBJ): %.o: %.c
	$(call Q,CC,$@)$(CC) $(BASE) $(call pc,--cflags,wayland-client) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
.PRECIOUS: $(BUILD)/wayland/%.c

# One static library per directory, of all its files but main.c; also objects, and headers that must be there first.
define library
SRC_$(1) := $$(filter-out %/main.c,$$(wildcard $(call path,$(1))/*.c))
OBJ_$(1) := $$(SRC_$(1):%.c=$(BUILD)/%.o) $(2)
FLAGS_$(1) = $(BASE) $(INC_$(1)) $(call pc,--cflags,$(PC_$(1)))
$(BUILD)/lib$(1).a: $$(OBJ_$(1))
	@rm -f $$@; $$(AR) rcs $$@ $$(OBJ_$(1))
$(BUILD)/$(call path,$(1))/%.o: $(call path,$(1))/%.c | $(3)
	@mkdir -p $$(@D)
	$$(call Q,CC,$$@)$$(CC) $$(FLAGS_$(1)) $$(CPPFLAGS) $$(CFLAGS) -c -o $$@ $$<
endef
$(foreach l,$(filter-out agent-session,$(LIBS)),$(eval $(call library,$(l))))
$(eval $(call library,agent-session,$(WAYLAND_OBJ),$(WAYLAND_H)))

# name, directory key, libraries in link order
define program
$(BUILD)/$(1): $(BUILD)/$(call path,$(2))/main.o $(3:%=$(BUILD)/lib%.a)
	$$(call Q,LD,$$@)$$(CC) $$(CFLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed $$(LDFLAGS) -o $$@ $$^ $(call pc,--libs,$(PC_$(2))) -lm
endef
$(eval $(call program,spice-pvmouse,guest,guest chardev protocol))
$(eval $(call program,spicevmc,host,host chardev protocol))
$(eval $(call program,spice-agent-system,agent-system,agent-system chardev protocol))
$(eval $(call program,spice-agent-manage,manage,manage chardev protocol))
$(eval $(call program,spice-agent-helper,helper,helper manage chardev protocol))
$(eval $(call program,spice-agent-session,agent-session,agent-session chardev protocol))
$(eval $(call program,spice-agent-convert,convert,convert chardev protocol))
$(eval $(call program,spice-agentctl,ctl,ctl protocol))

# Unit tests; one program each. The three groups differ in what they link.
TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test-*.c))
SESSION_BINS := $(patsubst tests/session/%.c,$(BUILD)/tests/session/%,$(wildcard tests/session/test-*.c))
TEST_LIBS := agent-system helper manage agent-session guest host chardev protocol
TEST_PC := $(PC_host) libdrm x11 xfixes xrandr wayland-client wayland-server libudev
TEST_FLAGS = $(BASE) -iquote tests/lib -iquote protocol -iquote chardev -iquote chardev/guest -iquote chardev/host -iquote agent-system -iquote agent-system/manage -iquote agent-system/helper \
	-iquote agent-session -iquote $(BUILD)/wayland \
	-DSOURCE_DIR='"$(CURDIR)"' -DBUILD_DIR='"$(abspath $(BUILD))"' $(call pc,--cflags,$(TEST_PC))
TEST_LIB_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/lib/*.c))

$(BUILD)/tests/lib/%.o: tests/lib/%.c | $(WAYLAND_H)
	@mkdir -p $(@D)
	$(call Q,CC,$@)$(CC) $(TEST_FLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(TESTS) $(SESSION_BINS): $(BUILD)/%: %.c $(TEST_LIB_OBJ) $(TEST_LIBS:%=$(BUILD)/lib%.a)
	@mkdir -p $(@D)
	$(call Q,LD,$@)$(CC) $(TEST_FLAGS) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(TEST_LIB_OBJ) $(TEST_LIBS:%=$(BUILD)/lib%.a) $(LDFLAGS) \
	  -Wl,--as-needed $(call pc,--libs,$(TEST_PC)) -lm

# For tests/bench: the least that a host daemon can be.
HOST_LIBS := $(foreach l,host chardev protocol,$(BUILD)/lib$(l).a)
$(BUILD)/tests/bench/relay: tests/bench/relay.c $(HOST_LIBS)
	@mkdir -p $(@D)
	$(call Q,LD,$@)$(CC) $(FLAGS_host) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(HOST_LIBS) $(LDFLAGS) -Wl,--as-needed $(call pc,--libs,$(PC_host))

# Fuzz targets: with a plain runner that replays files here, with libFuzzer by `make fuzz`.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz-*.c)
FUZZ_REPLAY := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(FUZZ_SRC))
$(FUZZ_REPLAY): $(BUILD)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/standalone.c $(TEST_LIBS:%=$(BUILD)/lib%.a)
	@mkdir -p $(@D)
	$(call Q,LD,$@)$(CC) $(TEST_FLAGS) $(CPPFLAGS) $(CFLAGS) -o $@ $< tests/fuzz/standalone.c $(TEST_LIBS:%=$(BUILD)/lib%.a) $(LDFLAGS) \
	  -Wl,--as-needed $(call pc,--libs,$(TEST_PC)) -lm

FUZZ_CC ?= clang-14
FUZZ_SECONDS ?= 600
FUZZ_BUILD := $(BUILD)-fuzz
FUZZ_CFLAGS := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
fuzz:
	$(MAKE) BUILD=$(FUZZ_BUILD) CC=$(FUZZ_CC) CFLAGS="$(FUZZ_CFLAGS)" HARDEN= $(TEST_LIBS:%=$(FUZZ_BUILD)/lib%.a)
	FUZZ_CC="$(FUZZ_CC)" FUZZ_FLAGS="$(TEST_FLAGS) -O1 -g -fsanitize=address,undefined,fuzzer -fno-sanitize-recover=undefined" \
	  FUZZ_LIBS="$(TEST_LIBS:%=$(FUZZ_BUILD)/lib%.a) $(call pc,--libs,$(TEST_PC)) -lm" FUZZ_BUILD=$(FUZZ_BUILD) \
	  FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run

test-programs: all $(TESTS) $(SESSION_BINS) $(FUZZ_REPLAY)

deps:
	tests/deps

check: deps
	$(MAKE) test-programs
	BUILD=$(BUILD) tests/run unit fuzz session vm

# What needs newer suites than Debian 12, in cached trees of them: libvirt, QEMU and Wayland compositors. Writes
# docs/compatibility.md.
check-matrix: deps
	$(MAKE) test-programs
	BUILD=$(BUILD) tests/run matrix

# Unit, session and fuzz-corpus tests under AddressSanitizer and UndefinedBehaviorSanitizer.
ASAN_BUILD := $(BUILD)-asan
asan:
	$(MAKE) BUILD=$(ASAN_BUILD) CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
	  HARDEN=-fPIE test-programs
	BUILD=$(ASAN_BUILD) tests/run unit fuzz session

demo: deps
	$(MAKE) deb
	KEEP=$(KEEP) tests/vm/demo

bench: deps
	$(MAKE) deb
	tests/bench/run

# Files go where their names say, so a new unit or rule needs no line here. Units and the autostart file name programs in
# /usr, which PREFIX replaces. SYSTEMLIB is the home of units and udev rules, /lib on Debian 12.
SYSTEMLIB ?= $(PREFIX)/lib
SYS_DATA := agent-system/data
SES_DATA := agent-session/data
HOST_DATA := chardev/host/data
# mode, files, directory
put = $(if $(strip $(2)),install -d '$(DESTDIR)$(3)' && install -m $(1) $(2) '$(DESTDIR)$(3)')
# files that name programs, directory
define put-prefixed
$(foreach f,$(1),@install -d '$(DESTDIR)$(2)'
	sed 's|/usr/\(s\?bin\)/|$(PREFIX)/\1/|' $(f) >'$(DESTDIR)$(2)/$(notdir $(f))' && chmod 644 '$(DESTDIR)$(2)/$(notdir $(f))'
	)
endef
# extension, directory: NAME.extension becomes directory/NAME.conf
define put-conf
$(foreach f,$(wildcard $(SYS_DATA)/*.$(1) $(HOST_DATA)/*.$(1)),install -D -m 644 $(f) '$(DESTDIR)$(2)/$(basename $(notdir $(f))).conf'
	)
endef

install: all
	$(call put,755,$(BUILD)/spice-agent-system $(BUILD)/spice-agent-manage $(BUILD)/spice-pvmouse,$(PREFIX)/sbin)
	$(call put,755,$(BUILD)/spice-agent-session $(BUILD)/spice-agentctl $(BUILD)/spicevmc,$(PREFIX)/bin)
	$(call put,755,$(BUILD)/spice-agent-convert $(BUILD)/spice-agent-helper,$(PREFIX)/libexec/spice-pv)
	$(call put-prefixed,$(wildcard $(SYS_DATA)/*.service $(SYS_DATA)/*.socket $(HOST_DATA)/*.service),$(SYSTEMLIB)/systemd/system)
	$(call put-prefixed,$(filter-out $(SES_DATA)/org.%,$(wildcard $(SES_DATA)/*.service)),$(PREFIX)/lib/systemd/user)
	$(call put,644,$(wildcard $(SES_DATA)/org.*.service),$(PREFIX)/share/dbus-1/services)
	$(call put-prefixed,$(wildcard $(SES_DATA)/*.desktop),$(SYSCONFDIR)/xdg/autostart)
	$(call put,644,$(wildcard $(SYS_DATA)/70-*.rules),$(SYSTEMLIB)/udev/rules.d)
	$(call put,644,$(wildcard $(SYS_DATA)/50-*.rules),$(PREFIX)/share/polkit-1/rules.d)
	$(call put-conf,sysusers,$(PREFIX)/lib/sysusers.d)
	$(call put-conf,tmpfiles,$(PREFIX)/lib/tmpfiles.d)
	$(call put-conf,modules,$(PREFIX)/lib/modules-load.d)
	$(call put,644,$(wildcard $(SYS_DATA)/org.*.conf),$(PREFIX)/share/dbus-1/system.d)
	$(call put,644,$(wildcard protocol/org.*.xml),$(PREFIX)/share/dbus-1/interfaces)
	$(call put,644,$(filter-out $(SYS_DATA)/org.%,$(wildcard $(SYS_DATA)/*.conf $(SES_DATA)/*.conf)),$(SYSCONFDIR)/spice-pv)
	$(call put,644,$(wildcard docs/man/*.1),$(PREFIX)/share/man/man1)
	$(call put,644,$(wildcard docs/man/*.5),$(PREFIX)/share/man/man5)
	$(call put,644,$(wildcard docs/man/*.8),$(PREFIX)/share/man/man8)
	$(call put,644,README protocol/pvmouse.md docs/management.md,$(PREFIX)/share/doc/spice-pv-guest)
	install -d '$(DESTDIR)$(SYSCONFDIR)/spice-pv/vm'
	$(call put,644,$(wildcard $(HOST_DATA)/*.conf),$(PREFIX)/share/doc/spice-pv-host/examples)

# Built in a private copy of the tree, since dpkg-buildpackage writes into it and beside it. The same sources give the
# same package, bit by bit. What the caller's make was told of BUILD does not hold in the copy, where clean would follow it.
deb:
	@mkdir -p $(BUILD)
	set -e; copy=$$(mktemp -d $(abspath $(BUILD))-deb.XXXXXX); trap 'rm -rf $$copy' EXIT; mkdir $$copy/tree; \
	tar -c --exclude='./build*' --exclude=./.git . | tar -xC $$copy/tree; cd $$copy/tree; \
	env -u BUILD -u MAKEFLAGS DEB_BUILD_OPTIONS="noautodbgsym $$DEB_BUILD_OPTIONS" dpkg-buildpackage -us -uc -b; \
	mv $$copy/*.deb $(abspath $(BUILD))/

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(BUILD)-deb.* demo.png bench.json

help:
	@echo 'make            the programs, in $(BUILD)/'
	@echo 'make deps       install what build, tests and demo need (Debian packages, as root)'
	@echo 'make check      all tests: unit, fuzz corpus, session (headless Xorg), VM (QEMU guests)'
	@echo 'make check-matrix  the host daemon under libvirt and QEMU of Debian 13, the session daemon with its Wayland'
	@echo '                compositors and those of sid, in chroots; writes docs/compatibility.md'
	@echo 'make demo       boot a guest, connect a client, show the main functions; leaves demo.png (KEEP=1 keeps the VM)'
	@echo 'make bench      measure beside spice-vdagent; writes bench.json'
	@echo 'make deb        Debian packages, in $(BUILD)/'
	@echo 'make install    into $$DESTDIR$$PREFIX'
	@echo 'make asan       unit, session and corpus tests with sanitizers'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) with libFuzzer (clang-14, libclang-rt-14-dev)'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: all deps check check-matrix demo bench deb install fuzz asan clean help test-programs
