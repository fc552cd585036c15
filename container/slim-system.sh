#!/bin/sh
# Takes out of the base image's system what the submission never uses: package managers, perl, pip, set-uid bits,
# manuals. Run while the image is built, as root; the image is copied from what is left.
set -eu

# Maintainers' scripts need perl and each other; nothing is left for them to do.
rm -f /var/lib/dpkg/info/*.preinst /var/lib/dpkg/info/*.postinst /var/lib/dpkg/info/*.prerm /var/lib/dpkg/info/*.postrm
for package in adduser apt debconf debian-archive-keyring e2fsprogs gpgv init-system-helpers libapt-pkg6.0 \
    libdebconfclient0 libext2fs2 libgnutls30 libhogweed6 libnettle8 libp11-kit0 libsemanage2 libsemanage-common libsepol2 \
    libss2 login logsave mount passwd perl-base python3-pip python3-venv python3.11-venv python3-pip-whl \
    python3-setuptools python3-setuptools-whl python3-wheel python3-pkg-resources python3-distutils python3-lib2to3 \
    sysvinit-utils tar; do
    if dpkg-query --status "$package" >/dev/null 2>&1; then
        dpkg --purge --force-depends --force-remove-essential --force-remove-protected "$package" >/dev/null 2>&1 ||
            { echo "slim-system.sh: $package cannot be removed" >&2; exit 1; }
    fi
done

standard_library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
(cd "$standard_library" && rm -rf ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo venv)
for packages in "$standard_library"/site-packages /usr/lib/python3/dist-packages; do
    (cd "$packages" 2>/dev/null && rm -rf pip* setuptools* wheel* pkg_resources _distutils_hack distutils-precedence.pth) || true
done
rm -f /usr/local/bin/pip* /usr/local/bin/wheel /usr/local/bin/idle* /usr/local/bin/pydoc*

# Licences stay where Debian put them; the list of packages stays for whoever scans the image.
find /usr/share/doc -type f ! -name copyright -delete
find /usr/share/doc -mindepth 1 -type d -empty -delete
rm -f /usr/bin/dpkg*
rm -rf /usr/share/man /usr/share/info /usr/share/locale /usr/share/python-wheels /usr/share/perl* /usr/lib/*/perl* \
    /usr/lib/apt /etc/apt /var/lib/apt /var/cache/* /var/log/* /var/lib/dpkg/*-old /var/lib/dpkg/info /root/.cache
find / -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
find / -xdev -type f -perm /6000 -exec chmod a-s {} +
find / -xdev -xtype l -path '/usr/*bin/*' -delete

# A container writes no cache: what is not compiled here is compiled anew in each run. -f: compileall has just left
# time-stamped files of the modules that it imports itself, and would keep them.
python3 -m compileall -q -f --invalidation-mode checked-hash "$standard_library"
