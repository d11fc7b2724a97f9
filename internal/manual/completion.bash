# _moat_offer WORD...: those that begin with the word at the cursor. Names come
# from the kernel, so nothing here expands them.
_moat_offer() {
	local candidate
	for candidate; do
		[[ $candidate != "${COMP_WORDS[COMP_CWORD]}"* ]] || COMPREPLY+=("$candidate")
	done
}

# _moat_files: offers files.
_moat_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
}

# _moat_after OPTION LONG: the word behind the option, "" if it is not there.
_moat_after() {
	local i
	for ((i = 1; i < COMP_CWORD - 1; i++)); do
		case ${COMP_WORDS[i]} in
		"$1" | "$2") echo "${COMP_WORDS[i + 1]}" && return ;;
		esac
	done
}

# _moat_chains: built-in chains of the table, and those that the kernel has if
# we may know.
_moat_chains() {
	local table chains
	table=$(_moat_after -t --table)
	mapfile -t chains < <("${COMP_WORDS[0]}" -t "${table:-filter}" -S 2>/dev/null </dev/null | sed -n 's/^-N //p')
	# shellcheck disable=SC2046 # names of built-in chains are plain words
	_moat_offer $(_moat_builtin "${table:-filter}") "${chains[@]}"
}

# _moat_loaded: options of the extensions that stand on the line.
_moat_loaded() {
	local i
	for ((i = 1; i < COMP_CWORD - 1; i++)); do
		case ${COMP_WORDS[i]} in
		-m | --match) _moat_extension -m "${COMP_WORDS[i + 1]}" ;;
		-p | --protocol | --proto) _moat_extension -p "${COMP_WORDS[i + 1]}" ;;
		-j | --jump) _moat_extension -j "${COMP_WORDS[i + 1]}" ;;
		esac
	done
}

# shellcheck disable=SC2086 # the lists are plain words
_moat_iptables() {
	local before=${COMP_WORDS[COMP_CWORD - 1]} interfaces
	COMPREPLY=()
	case $before in
	-t | --table) _moat_offer $_moat_tables ;;
	-m | --match) _moat_offer $_moat_matches ;;
	-p | --protocol | --proto) _moat_offer $_moat_protocols all ;;
	-j | --jump)
		_moat_offer $_moat_targets
		_moat_chains
		;;
	-g | --goto) _moat_chains ;;
	-[ACDIRLSFZXPE] | --append | --check | --delete | --insert | --replace | --list | --list-rules | --flush | --zero | \
		--delete-chain | --policy | --rename-chain) _moat_chains ;;
	-i | -o | --in-interface | --out-interface)
		mapfile -t interfaces < <(ls /sys/class/net 2>/dev/null)
		_moat_offer "${interfaces[@]}"
		;;
	*)
		if [[ ${COMP_WORDS[COMP_CWORD]} == -* ]]; then
			_moat_offer $_moat_options $(_moat_loaded)
		elif [[ $COMP_CWORD -gt 2 && ${COMP_WORDS[COMP_CWORD - 2]} == @(-P|--policy) ]]; then
			_moat_offer ACCEPT DROP
		fi
		;;
	esac
}

# shellcheck disable=SC2086
_moat_iptables_save() {
	COMPREPLY=()
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	-t | --table) _moat_offer $_moat_tables ;;
	-f | --file) _moat_files ;;
	*) _moat_offer $_moat_save_options ;;
	esac
}

# shellcheck disable=SC2086
_moat_iptables_restore() {
	COMPREPLY=()
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	-T | --table) _moat_offer $_moat_tables ;;
	*)
		case ${COMP_WORDS[COMP_CWORD]} in
		-*) _moat_offer $_moat_restore_options ;;
		*) _moat_files ;;
		esac
		;;
	esac
}

complete -F _moat_iptables iptables ip6tables iptables-nft ip6tables-nft
complete -F _moat_iptables_save iptables-save ip6tables-save iptables-nft-save ip6tables-nft-save
complete -F _moat_iptables_restore iptables-restore ip6tables-restore iptables-nft-restore ip6tables-nft-restore
