# zsh completion.zsh FOLDER LINES: what an interactive zsh offers where Tab is pressed after each line
# of the file LINES, a line of words each. FOLDER holds _systole, and is where the shell is.
zmodload zsh/zpty
offered() {
  local out=$1/.offered
  rm -f $out
  zpty shell zsh -f -i
  zpty -w shell "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; cd $1"
  # All that is offered passes compadd, which with these of its options offers nothing.
  zpty -w shell 'compadd() {
    [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] && { builtin compadd "$@"; return }
    local -a hits; builtin compadd -A hits "$@"; print -rl -- $hits >> '$out'; builtin compadd "$@" }'
  zpty -w shell "tab() { zle complete-word; print done >> $out; exit }; zle -N tab; bindkey '^I' tab"
  zpty -w -n shell "$2"$'\t'
  # What the shell echoes must be read, or it waits; a shell that hangs is given up.
  local tries=0 line
  until [[ -f $out && $(tail -n 1 $out) == done ]] || (( ++tries > 600 )); do
    sleep 0.05
    zpty -r -t shell line
  done
  zpty -d shell
  print -r -- $(grep -vx done $out)
}
while IFS= read -r line; do offered $1 $line; done < $2
