(* spikecert-kernel MODEL [CERTIFICATE ...]: says of each certificate (`-`, or none: of standard input) in one line whether it proves
   its claim about the network of the model file: `accepted class …` or `refused: …`. Exit status: 0 where all are accepted, else 1; 2: usage. *)
let reason = function
  | Json.Refused why -> why
  | Stack_overflow -> "nests too deep"
  | Out_of_memory -> "needs more memory than there is"
  | Sys_error why -> "can't be read: " ^ why
  | other -> "fails the kernel: " ^ Printexc.to_string other

let printable text = String.map (fun c -> if ' ' <= c && c <= '~' then c else '?') text

(* prints what `f` says, or why it was refused *)
let told f = match f () with
  | line -> print_endline ("accepted " ^ line); true
  | exception why -> print_endline (printable ("refused: " ^ reason why)); false

let check content path =
  if path = "-" then Certificate.check content stdin
  else In_channel.with_open_bin path (Certificate.check content)

let () =
  Gc.set { (Gc.get ()) with minor_heap_size = 1 lsl 20; space_overhead = 400 };
  match Array.to_list Sys.argv with
  | [] | [ _ ] | _ :: ("-h" | "--help") :: _ -> prerr_endline "usage: spikecert-kernel MODEL [CERTIFICATE|- ...]"; exit 2
  | _ :: model :: certificates ->
      let certificates = if certificates = [] then [ "-" ] else certificates in
      (match Tensors.read model with
       | content -> exit (if List.fold_left (fun all path -> told (fun () -> check content path) && all) true certificates then 0 else 1)
       | exception why -> print_endline (printable ("refused: " ^ Filename.basename model ^ ": " ^ reason why)); exit 1)
