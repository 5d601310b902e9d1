(* SHA-256 (FIPS 180-4), on OCaml's 63-bit integers cut to 32 bits. Trusted; test_native.py compares it with Python's. *)
let k = [|
  0x428a2f98; 0x71374491; 0xb5c0fbcf; 0xe9b5dba5; 0x3956c25b; 0x59f111f1; 0x923f82a4; 0xab1c5ed5;
  0xd807aa98; 0x12835b01; 0x243185be; 0x550c7dc3; 0x72be5d74; 0x80deb1fe; 0x9bdc06a7; 0xc19bf174;
  0xe49b69c1; 0xefbe4786; 0x0fc19dc6; 0x240ca1cc; 0x2de92c6f; 0x4a7484aa; 0x5cb0a9dc; 0x76f988da;
  0x983e5152; 0xa831c66d; 0xb00327c8; 0xbf597fc7; 0xc6e00bf3; 0xd5a79147; 0x06ca6351; 0x14292967;
  0x27b70a85; 0x2e1b2138; 0x4d2c6dfc; 0x53380d13; 0x650a7354; 0x766a0abb; 0x81c2c92e; 0x92722c85;
  0xa2bfe8a1; 0xa81a664b; 0xc24b8b70; 0xc76c51a3; 0xd192e819; 0xd6990624; 0xf40e3585; 0x106aa070;
  0x19a4c116; 0x1e376c08; 0x2748774c; 0x34b0bcb5; 0x391c0cb3; 0x4ed8aa4a; 0x5b9cca4f; 0x682e6ff3;
  0x748f82ee; 0x78a5636f; 0x84c87814; 0x8cc70208; 0x90befffa; 0xa4506ceb; 0xbef9a3f7; 0xc67178f2 |]

let rotated x n = ((x lsr n) lor (x lsl (32 - n))) land 0xffffffff

let mixed h w block at =
  for i = 0 to 15 do w.(i) <- Int32.to_int (String.get_int32_be block (at + 4 * i)) land 0xffffffff done;
  for i = 16 to 63 do
    let a = w.(i - 15) and b = w.(i - 2) in
    let s0 = rotated a 7 lxor rotated a 18 lxor (a lsr 3) and s1 = rotated b 17 lxor rotated b 19 lxor (b lsr 10) in
    w.(i) <- (w.(i - 16) + s0 + w.(i - 7) + s1) land 0xffffffff
  done;
  let s = Array.copy h in
  for i = 0 to 63 do
    let a = s.(0) and e = s.(4) in
    let s1 = rotated e 6 lxor rotated e 11 lxor rotated e 25 and s0 = rotated a 2 lxor rotated a 13 lxor rotated a 22 in
    let chosen = (e land s.(5)) lxor (lnot e land s.(6)) in
    let most = (a land s.(1)) lxor (a land s.(2)) lxor (s.(1) land s.(2)) in
    let t = s.(7) + s1 + (chosen land 0xffffffff) + k.(i) + w.(i) in
    Array.blit s 0 s 1 7;
    s.(4) <- (s.(4) + t) land 0xffffffff;
    s.(0) <- (t + s0 + most) land 0xffffffff
  done;
  Array.iteri (fun i x -> h.(i) <- (h.(i) + x) land 0xffffffff) s

(* of the parts of a text, one behind the other: (string, offset, length) *)
let hex parts =
  let h = [| 0x6a09e667; 0xbb67ae85; 0x3c6ef372; 0xa54ff53a; 0x510e527f; 0x9b05688c; 0x1f83d9ab; 0x5be0cd19 |] in
  let w = Array.make 64 0 and block = Bytes.create 64 and held = ref 0 and length = ref 0 in
  let mix () = mixed h w (Bytes.unsafe_to_string block) 0; held := 0 in
  let rec take text at count =
    if count > 0 && !held = 0 && count >= 64 then (mixed h w text at; take text (at + 64) (count - 64))
    else if count > 0 then begin
      let n = min count (64 - !held) in
      Bytes.blit_string text at block !held n;
      held := !held + n;
      if !held = 64 then mix ();
      take text (at + n) (count - n)
    end in
  List.iter (fun (text, at, count) -> length := !length + count; take text at count) parts;
  Bytes.set block !held '\x80';
  Bytes.fill block (!held + 1) (63 - !held) '\x00';
  if !held >= 56 then (mix (); Bytes.fill block 0 64 '\x00');
  Bytes.set_int64_be block 56 (Int64.of_int (8 * !length));
  mix ();
  String.concat "" (List.map (Printf.sprintf "%08x") (Array.to_list h))
