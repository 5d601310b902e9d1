(* A small network, a box and a certificate (written once by a program, from a kept proof of 6-8-6-3, T = 4): the machine accepts it, by computation in Coq, so what follows is proven.*)
From Coq Require Import ZArith Reals List Bool.
From Flocq Require Import Core.
From Flocq Require BinarySingleNaN.
Require Import Semantics Dyadic.
Require Import Check.
Require Fit Certified.
Import ListNotations.
Open Scope nat_scope.
Local Notation d := (Float radix2).
Definition net : network := {| steps := 4; hidden := [([([(0, (d (62846200) (-28))); (1, (d (-65198004) (-28))); (2, (d (75130656) (-28))); (3, (d (-13993838) (-28))); (4, (d (117036952) (-28))); (5, (d (65224984) (-28)))], (d (23212018) (-29)));
  ([(0, (d (-31488748) (-28))); (1, (d (-221495184) (-28))); (2, (d (62551480) (-28))); (3, (d (-242558576) (-28))); (4, (d (36007436) (-28))); (5, (d (18207516) (-28)))], (d (16736587) (-29)));
  ([(0, (d (-60245724) (-28))); (1, (d (224025088) (-28))); (2, (d (18283938) (-28))); (3, (d (113609792) (-28))); (4, (d (115943008) (-28))); (5, (d (-161624032) (-28)))], (d (116952152) (-29)));
  ([(0, (d (-105323824) (-28))); (1, (d (263482688) (-28))); (2, (d (-268348192) (-28))); (3, (d (-18607632) (-28))); (4, (d (-21712116) (-28))); (5, (d (194330080) (-28)))], (d (147231184) (-29)));
  ([(0, (d (-26046276) (-28))); (1, (d (72141392) (-28))); (2, (d (-13151605) (-28))); (3, (d (-153409072) (-28))); (4, (d (-155283968) (-28))); (5, (d (-133104272) (-28)))], (d (157400736) (-29)));
  ([(0, (d (-248876304) (-28))); (1, (d (-177802208) (-28))); (2, (d (64478736) (-28))); (3, (d (180312800) (-28))); (4, (d (13496428) (-28))); (5, (d (-125585408) (-28)))], (d (127036000) (-29)));
  ([(0, (d (120405648) (-28))); (1, (d (-105169888) (-28))); (2, (d (-60689704) (-28))); (3, (d (-150192784) (-28))); (4, (d (-86027520) (-28))); (5, (d (-253861280) (-28)))], (d (-53437340) (-29)));
  ([(0, (d (116900560) (-28))); (1, (d (106529648) (-28))); (2, (d (54419796) (-28))); (3, (d (134514528) (-28))); (4, (d (116117536) (-28))); (5, (d (12121316) (-28)))], (d (-9757226) (-29)))], [{| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |}]);
  ([([(0, (d (-48217696) (-28))); (1, (d (138025008) (-28))); (2, (d (26350278) (-28))); (3, (d (219598144) (-28))); (4, (d (120339328) (-28))); (5, (d (-202781264) (-28))); (6, (d (69407848) (-28))); (7, (d (227982464) (-28)))], (d (53840952) (-28)));
  ([(0, (d (210749776) (-28))); (1, (d (-3728574) (-28))); (2, (d (78713792) (-28))); (3, (d (-222567424) (-28))); (4, (d (-75640512) (-28))); (5, (d (115700064) (-28))); (6, (d (-216140224) (-28))); (7, (d (206706592) (-28)))], (d (30078942) (-28)));
  ([(0, (d (-156031648) (-28))); (1, (d (75028728) (-28))); (2, (d (-8982491) (-28))); (3, (d (41810288) (-28))); (4, (d (22987448) (-28))); (5, (d (-221803648) (-28))); (6, (d (-50964688) (-28))); (7, (d (-149978256) (-28)))], (d (60308852) (-28)));
  ([(0, (d (201712384) (-28))); (1, (d (-29124258) (-28))); (2, (d (-236249600) (-28))); (3, (d (57465488) (-28))); (4, (d (103037424) (-28))); (5, (d (-106214000) (-28))); (6, (d (-22257402) (-28))); (7, (d (102572400) (-28)))], (d (71296464) (-28)));
  ([(0, (d (-147628288) (-28))); (1, (d (-125422528) (-28))); (2, (d (-22888140) (-28))); (3, (d (-166620768) (-28))); (4, (d (145823072) (-28))); (5, (d (19406234) (-28))); (6, (d (141957056) (-28))); (7, (d (127021520) (-28)))], (d (-93689120) (-28)));
  ([(0, (d (-182851536) (-28))); (1, (d (-147886320) (-28))); (2, (d (-162285472) (-28))); (3, (d (-76257392) (-28))); (4, (d (-86702656) (-28))); (5, (d (-38230744) (-28))); (6, (d (-229530944) (-28))); (7, (d (100196520) (-28)))], (d (14336075) (-28)))], [{| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |};
  {| decay := (d (8106479329266893) (-53)); theta := (d (1) (-0)); kind := Zero; drop := (d (1) (-0)) |}])];
  last := Some [([(0, (d (254138464) (-28))); (1, (d (-198551184) (-28))); (2, (d (-121986784) (-28))); (3, (d (-14427789) (-28))); (4, (d (-170432704) (-28))); (5, (d (-51638512) (-28)))], (d (-13316420) (-25)));
  ([(0, (d (-40484844) (-28))); (1, (d (244100064) (-28))); (2, (d (-17226968) (-28))); (3, (d (148566688) (-28))); (4, (d (200622096) (-28))); (5, (d (122060272) (-28)))], (d (-12006307) (-25)));
  ([(0, (d (-238254704) (-28))); (1, (d (205342496) (-28))); (2, (d (180670000) (-28))); (3, (d (-196399072) (-28))); (4, (d (-97690256) (-28))); (5, (d (186472672) (-28)))], (d (-9284300) (-25)))]; nested := []; far := [] |}.
Definition low : list D := [(d (43652459317637939) (-56));
  (d (17712892664296243) (-56));
  (d (293974190535475) (-56));
  (d (46391763689222963) (-56));
  (d (50650116389024563) (-56));
  (d (45920945079268147) (-56))].
Definition high : list D := [(d (50858218721430733) (-56));
  (d (24918652068089037) (-56));
  (d (7499733594328269) (-56));
  (d (53597523093015757) (-56));
  (d (57855875792817357) (-56));
  (d (53126704483060941) (-56))].
Definition certificate : list record := [Table [([false; false; false; false], ((d (-1641194781955065049264211) (-80)), (d (-66792869957748951810755) (-78)))); ([false; false; true; false], ((d (479980088969678160885607) (-80)), (d (159069291148427609654849) (-78)))); ([false; true; false; true], ((d (636276329737478151462703) (-80)), (d (1208926251960310285245417) (-80)))); ([true; true; true; true], ((d (302231332342978440023511) (-78)), (d (1451764072427054732735477) (-80))))];
  Graph 1 0 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := (Some 1); cuts := []; taken := None |}];
   [{| lo := (d (882072640057) (-42)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 1); spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := (Some 1); cuts := []; taken := None |}; {| lo := (d (3827338598969) (-42)); hi := (d (17592188141569) (-44)); parent := (Some 1); silent := None; spike := (Some 1); cuts := [1]; taken := None |}];
   [{| lo := (d (92073908793) (-42)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 1); spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}; {| lo := (d (3827338598969) (-42)); hi := (d (17592188141569) (-44)); parent := (Some 1); silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 1 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (1971021959009) (-44)); hi := (d (15518208340127) (-44)); parent := (Some 0); silent := (Some 0); spike := (Some 1); cuts := [1]; taken := None |}];
   [{| lo := (d (2705486236165) (-44)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1; 2]; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 1); spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := (Some 1); cuts := []; taken := None |}; {| lo := (d (-12615156740255) (-44)); hi := (d (17592188141569) (-44)); parent := (Some 1); silent := None; spike := (Some 1); cuts := [1]; taken := None |}];
   [{| lo := (d (931566473057) (-44)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 2 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (-734590902029) (-41)); hi := (d (494069260045) (-41)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1]; taken := None |}];
   [{| lo := (d (-21980148324345) (-44)); hi := (d (105239200459) (-42)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1; 2]; taken := None |}];
   [{| lo := (d (-24274226238561) (-44)); hi := (d (-5127506846705) (-44)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1; 2; 3]; taken := None |}];
   [{| lo := (d (-37317997336133) (-44)); hi := (d (-8970998140831) (-44)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 3 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (1168070999247) (-42)); hi := (d (2848717734705) (-42)); parent := (Some 0); silent := (Some 0); spike := (Some 1); cuts := [1]; taken := None |}];
   [{| lo := (d (58335307539) (-43)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1; 2]; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 1); spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := (Some 1); cuts := []; taken := None |}; {| lo := (d (-2702642447153) (-42)); hi := (d (17592188141569) (-44)); parent := (Some 1); silent := (Some 2); spike := (Some 1); cuts := [1]; taken := None |}];
   [{| lo := (d (-1022096245553) (-42)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}; {| lo := (d (7701801766265) (-43)); hi := (d (17592188141569) (-44)); parent := (Some 1); silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 4 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (-6140212829671) (-44)); hi := (d (2184674827751) (-44)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1]; taken := None |}];
   [{| lo := (d (-12718272659355) (-43)); hi := (d (2075441086363) (-43)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1; 2]; taken := None |}];
   [{| lo := (d (-31242565944215) (-44)); hi := (d (-13964692166147) (-44)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1; 3]; taken := None |}];
   [{| lo := (d (-2877509189179) (-40)); hi := (d (-12372064216717) (-44)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 5 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (469665193905) (-43)); hi := (d (3753103384655) (-43)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1]; taken := None |}];
   [{| lo := (d (-19265296526841) (-44)); hi := (d (14261792861689) (-44)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1; 2]; taken := None |}];
   [{| lo := (d (-19161086826187) (-44)); hi := (d (-4513032713729) (-44)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1; 2; 3]; taken := None |}];
   [{| lo := (d (-34870186713583) (-44)); hi := (d (479496010549) (-43)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}]];
  Class 0;
  SplitRows 0 2 false;
  SplitRows 2 2 false;
  Narrow [(3, Some true, [(0, (d (-9883599) (-22))); (2, (d (-9096365) (-26)))]); (7, Some true, [(0, (d (-1717207) (-20))); (2, (d (0) (-0)))]); (3, Some false, [(0, (d (-10848211) (-22))); (2, (d (-10563145) (-26)))]); (7, Some false, [(0, (d (-175913) (-17))); (2, (d (-15311691) (-25)))]); (0, None, [(0, (d (-8980293) (-20))); (2, (d (-2590261) (-20)))])];
  Empty;
  Narrow [(3, Some true, [(0, (d (-4715781) (-21))); (2, (d (14827547) (-25)))]); (7, Some true, [(0, (d (-9655421) (-23))); (2, (d (5620307) (-25)))]); (3, Some false, [(0, (d (-2713705) (-20))); (2, (d (1514983) (-25)))]); (7, Some false, [(0, (d (-10753081) (-23))); (2, (d (0) (-0)))]); (0, None, [(0, (d (0) (-0))); (2, (d (0) (-0)))])];
  Graph 1 0 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (3827338598969) (-42)); hi := (d (3827453633991) (-42)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 1 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (15517764112827) (-44)); hi := (d (15518189399621) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (6090172486075) (-44)); hi := (d (6090597772869) (-44)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 3 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (11394482631021) (-44)); hi := (d (11394857111187) (-44)); parent := (Some 0); silent := (Some 0); spike := None; cuts := [1]; taken := None |}];
   [{| lo := (d (2483180358727) (-42)); hi := (d (9933432947223) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1; 2]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (-322312933011) (-44)); hi := (d (-321938452845) (-44)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}]];
  Leaf;
  Close;
  SplitRows 3 2 false;
  Narrow [(2, Some true, [(0, (d (0) (-0))); (3, (d (-2988001) (-22)))]); (7, Some true, [(0, (d (0) (-0))); (3, (d (-12895079) (-25)))]); (2, Some false, [(0, (d (0) (-0))); (3, (d (-14024899) (-24)))]); (7, Some false, [(0, (d (0) (-0))); (3, (d (-13484677) (-25)))]); (0, None, [(0, (d (0) (-0))); (3, (d (0) (-0)))])];
  Graph 1 0 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (3827338598969) (-42)); hi := (d (4259176588743) (-42)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (3827338598969) (-42)); hi := (d (4259176588743) (-42)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 1 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (15517745172321) (-44)); hi := (d (15518208340127) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (931566473057) (-44)); hi := (d (6090616713375) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 3 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (11394482631021) (-44)); hi := (d (11394857111187) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (-322312933011) (-44)); hi := (d (15160915332755) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Leaf;
  Price 0 (d (878941) (-27));
  Price 2 (d (10522455) (-32));
  Price 3 (d (6898369) (-28));
  Close;
  SplitRows 2 2 false;
  Narrow [(7, Some true, [(0, (d (0) (-0))); (2, (d (0) (-0))); (3, (d (0) (-0)))]); (7, Some false, [(0, (d (0) (-0))); (2, (d (-7972083) (-24))); (3, (d (0) (-0)))]); (0, None, [(0, (d (0) (-0))); (2, (d (0) (-0))); (3, (d (0) (-0)))])];
  Graph 1 0 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := (Some 1); cuts := []; taken := None |}];
   [{| lo := (d (3528308503147) (-44)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := (Some 1); cuts := []; taken := None |}];
   [{| lo := (d (5255200322155) (-44)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 1 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (985536335337) (-43)); hi := (d (7759078814231) (-43)); parent := (Some 0); silent := (Some 0); spike := (Some 1); cuts := [1]; taken := None |}];
   [{| lo := (d (16517279908265) (-44)); hi := (d (17592188141569) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [2]; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 1); spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}; {| lo := (d (3564829871593) (-43)); hi := (d (17592188141569) (-44)); parent := (Some 1); silent := None; spike := (Some 1); cuts := [1]; taken := None |}];
   [{| lo := (d (7371657252329) (-43)); hi := (d (7371838124567) (-43)); parent := (Some 0); silent := None; spike := None; cuts := []; taken := None |}; {| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 3 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (1168070999247) (-42)); hi := (d (2848717734705) (-42)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (-2702642447153) (-42)); hi := (d (-1021995711695) (-42)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Leaf;
  Potential 1 0 [(d (-90580391977) (-36)); (d (137025121) (-34)); (d (-61649908531) (-36)); (d (4282035) (-29))] [[([((d (-38736679778407) (-44)), (d (0) (-0))); ((d (-37965881830183) (-44)), (d (0) (-0)))], ([(1, (d (-90580391977) (-36)))], [(0, (d (-90580391977) (-36)))]))];
   [([((d (-21308378933149) (-43)), (d (0) (-0)))], ([], [(0, (d (0) (-0))); (0, (d (0) (-0)))])); ([((d (-42616758660031) (-44)), (d (0) (-0)))], ([], [(0, (d (137025121) (-34))); (0, (d (137025121) (-34)))]))];
   [([((d (-11535715427023) (-43)), (d (0) (-0))); ((d (-7415329187465) (-43)), (d (0) (-0)))], ([(1, (d (-61649908531) (-36)))], [(0, (d (-61649908531) (-36)))]))];
   [([((d (-19545327010523) (-44)), (d (0) (-0)))], ([], [(0, (d (0) (-0)))])); ([((d (-610791493883) (-39)), (d (0) (-0)))], ([], [(0, (d (4282035) (-29)))]))]];
  Potential 1 1 [(d (163864328307) (-36)); (d (-463040997) (-34)); (d (5180635699) (-36)); (d (8178501) (-29))] [[([((d (19629715019565) (-44)), (d (0) (-0))); ((d (1254735243367) (-40)), (d (0) (-0)))], ([(0, (d (163864328307) (-36))); (1, (d (0) (-0)))], []))];
   [([((d (56633184441229) (-44)), (d (0) (-0))); ((d (10037940948517) (-43)), (d (163864328307) (-36)))], ([(1, (d (22176112971) (-33)))], [(0, (d (0) (-0))); (0, (d (0) (-0)))]))];
   [([((d (1627037443391) (-40)), (d (4662572129) (-36)))], ([], [(0, (d (5180635699) (-36)))])); ([((d (6806554425393) (-42)), (d (0) (-0))); ((d (13729373437799) (-43)), (d (0) (-0)))], ([(1, (d (66226131) (-30)))], [(0, (d (5180635699) (-36)))]))];
   [([((d (-112299342769) (-43)), (d (0) (-0)))], ([(0, (d (8178501) (-29)))], [])); ([((d (28543799665967) (-44)), (d (942163315) (-36)))], ([], [(0, (d (8178501) (-29)))]))]];
  Price 0 (d (-7654861) (-27));
  Price 2 (d (-10090009) (-27));
  Price 3 (d (-11853203) (-28));
  Price 7 (d (-10823721) (-28));
  Close;
  Narrow [(7, Some true, [(0, (d (0) (-0))); (2, (d (1998307) (-22))); (3, (d (0) (-0)))]); (7, Some false, [(0, (d (0) (-0))); (2, (d (0) (-0))); (3, (d (0) (-0)))]); (0, None, [(0, (d (0) (-0))); (2, (d (0) (-0))); (3, (d (0) (-0)))])];
  Graph 1 0 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := (Some 0); cuts := []; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 1 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (15517798727607) (-44)); hi := (d (15518154784841) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (15517798727607) (-44)); hi := (d (15518154784841) (-44)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Graph 1 3 [[{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (2848631412737) (-42)); hi := (d (2848703522815) (-42)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := (Some 0); spike := None; cuts := []; taken := None |}];
   [{| lo := (d (2848631412737) (-42)); hi := (d (2848703522815) (-42)); parent := (Some 0); silent := None; spike := (Some 0); cuts := [1]; taken := None |}];
   [{| lo := (d (0) (-0)); hi := (d (0) (-0)); parent := None; silent := None; spike := None; cuts := []; taken := None |}]];
  Leaf;
  Price 0 (d (-15331257) (-30));
  Price 2 (d (15971687) (-31));
  Price 3 (d (6030431) (-29));
  Close;
  Class 2;
  Leaf;
  Potential 1 0 [(d (0) (-0)); (d (0) (-0)); (d (0) (-0)); (d (0) (-0))] [[([((d (49442465) (-25)), (d (0) (-0))); ((d (49442465) (-25)), (d (0) (-0)))], ([(1, (d (0) (-0)))], [(0, (d (0) (-0))); (0, (d (0) (-0)))]))];
   [([((d (49442465) (-25)), (d (0) (-0)))], ([], [(0, (d (0) (-0))); (0, (d (0) (-0)))])); ([((d (49442465) (-25)), (d (0) (-0))); ((d (49442465) (-26)), (d (0) (-0)))], ([(1, (d (0) (-0)))], [(0, (d (0) (-0))); (0, (d (0) (-0)))]))];
   [([((d (49442465) (-26)), (d (0) (-0))); ((d (49442465) (-26)), (d (0) (-0)))], ([(1, (d (0) (-0)))], [(0, (d (0) (-0))); (0, (d (0) (-0)))])); ([((d (49442465) (-26)), (d (0) (-0)))], ([], [(0, (d (0) (-0))); (0, (d (0) (-0)))]))];
   [([((d (49442465) (-26)), (d (0) (-0)))], ([], [(0, (d (0) (-0)))])); ([((d (0) (-0)), (d (0) (-0))); ((d (49442465) (-26)), (d (0) (-0)))], ([(0, (d (0) (-0)))], [(1, (d (0) (-0)))]))]];
  Potential 1 1 [(d (0) (-0)); (d (0) (-0)); (d (0) (-0)); (d (0) (-0))] [[([((d (605587) (-21)), (d (0) (-0))); ((d (605587) (-22)), (d (0) (-0)))], ([(0, (d (0) (-0))); (1, (d (0) (-0)))], []))];
   [([((d (605587) (-21)), (d (0) (-0))); ((d (605587) (-22)), (d (0) (-0)))], ([(1, (d (0) (-0)))], [(0, (d (0) (-0))); (0, (d (0) (-0)))]))];
   [([((d (605587) (-22)), (d (0) (-0)))], ([], [(0, (d (0) (-0))); (0, (d (0) (-0)))])); ([((d (605587) (-22)), (d (0) (-0))); ((d (605587) (-22)), (d (0) (-0)))], ([(1, (d (0) (-0)))], [(0, (d (0) (-0))); (0, (d (0) (-0)))]))];
   [([((d (0) (-0)), (d (0) (-0))); ((d (605587) (-22)), (d (0) (-0)))], ([(0, (d (0) (-0)))], [(1, (d (0) (-0)))])); ([((d (605587) (-22)), (d (0) (-0)))], ([], [(0, (d (0) (-0)))]))]];
  Potential 1 3 [(d (0) (-0)); (d (0) (-0)); (d (0) (-0)); (d (0) (-0))] [[([((d (2695045) (-21)), (d (0) (-0))); ((d (2695045) (-21)), (d (0) (-0)))], ([(0, (d (0) (-0))); (1, (d (0) (-0)))], []))];
   [([((d (2695045) (-21)), (d (0) (-0))); ((d (2695045) (-21)), (d (0) (-0)))], ([(1, (d (0) (-0)))], [(0, (d (0) (-0))); (0, (d (0) (-0))); (0, (d (0) (-0)))]))];
   [([((d (2695045) (-21)), (d (0) (-0)))], ([], [(0, (d (0) (-0))); (0, (d (0) (-0)))])); ([((d (2695045) (-21)), (d (0) (-0))); ((d (0) (-0)), (d (0) (-0))); ((d (2695045) (-21)), (d (0) (-0)))], ([(1, (d (0) (-0))); (2, (d (0) (-0)))], [(0, (d (0) (-0))); (0, (d (0) (-0)))]))];
   [([((d (0) (-0)), (d (0) (-0))); ((d (2695045) (-21)), (d (0) (-0)))], ([(0, (d (0) (-0)))], [(1, (d (0) (-0)))])); ([((d (0) (-0)), (d (0) (-0))); ((d (2695045) (-21)), (d (0) (-0)))], ([(0, (d (0) (-0)))], [(1, (d (0) (-0)))]))]];
  Close].
Example fitting : Fit.fits net (combine low high) = true. Proof. vm_compute. reflexivity. Qed.
Example accepted : accepts net 1 low high certificate = true. Proof. vm_compute. reflexivity. Qed.
(* of each input in the box class 1 has the greatest logit, in every IEEE binary32 run of this network *)
Definition robust := Certified.certified net 1 low high certificate fitting accepted.
Check robust.
Example listed : 1 < classes net. Proof. vm_compute. repeat constructor. Qed.
Definition robust_loops := Certified.certified_loops net 1 low high certificate eq_refl fitting accepted listed.

